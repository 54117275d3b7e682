"""From settings to a connected socket: files, the name, TCP, the proxy, TLS, the WebSocket. Each of these may hang.

Rule: all of it is done anew for every try, in a thread of its own that the link can leave behind. So a new address, a
renewed certificate and a changed password count at once, and what hangs holds up neither the link nor its end.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, zip_longest
from time import monotonic
from typing import Any, NamedTuple

from stoker.link import http, login, proxy, websocket, words
from stoker.link import settings as told
from stoker.link.settings import Mqtt
from stoker.link.words import LinkError

TCP_TIMEOUT = 10.0  # seconds for an address of a name ...
TCP_LEAST = 2.0  # seconds; ... fewer where there are many, ...
TCP_WITHIN = 30.0  # seconds; ... so that all have their turn. What is left over then begins the next try
HANDSHAKE_TIMEOUT = 10.0  # seconds for the proxy, for TLS, and for the WebSocket
LOOK_WITHIN = 5.0  # seconds
CHUNK = 16384  # bytes
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME (openssl, x509_vfy.h)

Socket = socket.socket | websocket.WebSocket


class _Plain(socket.socket):
    """Takes no more at once than is good: paho asks for all that a packet announces, and memory is made for it."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(min(size, CHUNK), flags)


class _Encrypted(ssl.SSLSocket):
    """The same with TLS. paho asks byte by byte, and other threads run each time: so it reads all that has come."""

    _ahead = b""  # read, and not yet asked for

    def recv(self, buflen: int = CHUNK, flags: int = 0) -> bytes:
        if not self._ahead:
            self._ahead = super().recv(CHUNK, flags)
        data, self._ahead = self._ahead[:buflen], self._ahead[buflen:]
        return data

    def pending(self) -> int:
        return len(self._ahead) + super().pending()


def _letters(host: str) -> str | bytes:
    """As Python's sockets take a host's name. For text they load the tables of all the world's letters, 1.3 MiB."""
    return host.encode() if host.isascii() else host


class Reached(NamedTuple):
    """A way to the broker, not blocking any more, and the password to be said there."""

    sock: Socket
    password: bytes | None


class Dial:
    """One try. `start` it and wait until it is `done`: it calls `wake` then. `give_up` instead, where it hangs.

    `turn`: which of the name's addresses is the first, counted on without end; once done, the last that was tried.
    """

    def __init__(self, settings: Mqtt, wake: Callable[[], None], turn: int = 0) -> None:
        self.place = words.place(settings)
        self.turn = turn
        self.step = "reading the files"
        self._settings = settings
        self._wake = wake
        self._lock = threading.Lock()  # around `_outcome` and `_given_up`
        self._outcome: Reached | Exception | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="dial", daemon=True)

    def start(self) -> None:
        """Begin. Returns at once."""
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether `reached` can say how it went."""
        return self._outcome is not None

    @property
    def running(self) -> bool:
        """Whether its thread is still there."""
        return self._thread.is_alive()

    def reached(self) -> Reached:
        """The way, once done. Raises LinkError with why there is none."""
        if isinstance(self._outcome, Exception):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def give_up(self) -> None:
        """Nobody waits for it any more: what it still reaches is closed."""
        with self._lock:
            self._given_up = True
            if isinstance(self._outcome, Reached):
                self._outcome.sock.close()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        outcome: Reached | Exception
        try:
            outcome = self._reach()
        except Exception as error:  # the link raises it
            outcome = error
        with self._lock:
            self._outcome = outcome
            if self._given_up and isinstance(outcome, Reached):
                outcome.sock.close()
        self._wake()

    def _reach(self) -> Reached:
        settings = self._settings
        context = login.tls_context(settings.tls) if settings.tls.enabled else None
        password = login.password(settings)
        headers = login.headers(settings) if settings.transport == "websockets" else {}
        sock: Socket = self._tcp()
        try:
            if context:
                sock = self._tls(sock, context)
            if settings.transport == "websockets":
                sock = self._websocket(sock, headers)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return Reached(sock, password)

    def _tcp(self) -> socket.socket:
        """TCP to the broker, or through the proxy, whose other side is the broker."""
        settings = self._settings
        if (by := told.proxy(settings)) is None:
            try:
                return self._connect(settings.address)
            except (OSError, ValueError) as error:
                raise words.explain(error, settings) from None
        password = login.proxy_password(settings) if by.user else b""
        try:
            sock = self._connect((by.host, by.port))
        except (OSError, ValueError) as error:
            raise words.no_proxy(error, by) from None
        try:
            self.step = f"the proxy {by.host}"
            proxy.through(sock, by, password, settings.address, monotonic() + HANDSHAKE_TIMEOUT)
        except (OSError, ValueError) as error:
            sock.close()
            raise words.no_proxy(error, by) from None
        except LinkError:
            sock.close()
            raise
        return sock

    def _connect(self, address: tuple[str, int]) -> socket.socket:
        """TCP to the first of the name's addresses that answers. Raises OSError, ValueError."""
        host, port = address
        self.step = f"looking up {host}"
        places = alternating(socket.getaddrinfo(_letters(host), port, type=socket.SOCK_STREAM))
        self.step = f"connecting to {host}"
        each, until = min(TCP_TIMEOUT, max(TCP_LEAST, TCP_WITHIN / max(1, len(places)))), monotonic() + TCP_WITHIN
        error: OSError | None = None
        for turn in range(self.turn, self.turn + len(places)):
            if self._given_up or monotonic() >= until:
                break
            self.turn = turn
            family, kind, protocol, _, place = places[turn % len(places)]
            try:
                sock = _Plain(family, kind, protocol)
            except OSError as failure:  # an address of a family that this system does not have
                error = error or failure
                continue
            try:
                sock.settimeout(each)
                sock.connect(place)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as failure:
                sock.close()
                error = failure
            else:
                return sock
        raise error or socket.gaierror(socket.EAI_NONAME, "no address")

    def _tls(self, tcp: Socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        settings = self._settings
        self.step = f"the TLS handshake with {settings.address[0]}"
        try:
            return self._wrapped(tcp, context, HANDSHAKE_TIMEOUT)
        except ssl.SSLCertVerificationError as error:
            raise words.explain(error, settings, self._shown_certificate()) from None
        except (OSError, ValueError) as error:
            if isinstance(error, ConnectionError):
                raise words.hung_up(settings) from None
            raise words.explain(error, settings) from None

    def _wrapped(self, tcp: Any, context: ssl.SSLContext, timeout: float) -> ssl.SSLSocket:
        host = self._settings.address[0]
        context.sslsocket_class = _Encrypted
        sock = context.wrap_socket(tcp, server_hostname=_letters(host), do_handshake_on_connect=False)
        try:
            sock.settimeout(timeout)  # for all of it
            sock.do_handshake()
        except BaseException:
            sock.close()
            raise
        return sock

    def _websocket(self, sock: Any, headers: Mapping[str, str]) -> websocket.WebSocket:
        settings, until = self._settings, monotonic() + HANDSHAKE_TIMEOUT
        self.step = f"the WebSocket of {settings.address[0]}"
        host, port = settings.address
        port = 0 if port == (443 if settings.tls.enabled else 80) else port  # as browsers name it
        try:
            place = http.authority(host, port)
            found = websocket.upgrade(sock, place, settings.websocket.path, headers, until)
        except (OSError, ValueError) as error:
            raise words.explain(error, settings) from None
        if isinstance(found, websocket.WebSocket):
            return found
        raise words.no_websocket(found.status, found.reason, settings)

    # --- what is wrong with a certificate -----------------------------------------------------------------------------

    def _shown_certificate(self) -> Mapping[str, Any]:
        """Fetch the broker's certificate to tell a person what is wrong with it. Empty where that fails.

        Python tells the fields of verified certificates alone, so it is asked for a second time, and then the very
        certificate of the first time is all that is trusted. Nothing is said over these connections.
        """
        with contextlib.suppress(OSError, ValueError, LinkError):
            anybody = login.tls_context(self._settings.tls)
            login.believe_anybody(anybody)
            with self._wrapped(self._tcp(), anybody, LOOK_WITHIN) as sock:
                shown = sock.getpeercert(binary_form=True)
            only = login.tls_context(self._settings.tls)
            only.load_verify_locations(cadata=shown or b"")
            only.check_hostname = False
            only.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
            with self._wrapped(self._tcp(), only, LOOK_WITHIN) as sock:
                return sock.getpeercert() or {}
        return {}


def alternating(places: Sequence[Any]) -> list[Any]:
    """IPv6 and IPv4 by turns, each in the order of the system (RFC 8305, 4): one of the two may lead nowhere."""
    families = dict.fromkeys(place[0] for place in places)
    by_family = [[place for place in places if place[0] == family] for family in families]
    return [place for place in chain.from_iterable(zip_longest(*by_family)) if place]
