"""What the link is told: the tables [mqtt], [mqtt.tls] and [mqtt.websocket]."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from stoker.core.settings import Seconds

LONGEST = 16000  # characters; what MQTT carries is 65535 bytes, and a character is up to four
PING_AFTER = 0.7  # of a keepalive. The answer may take as long again: a dead line is noticed within 1.5 keepalives
SHORTEST_SILENCE = 2.0  # seconds; no lifetime of orders makes us ping more often
PLAIN = "^[^\\x00]*$"  # MQTT allows no NUL
PORTS = range(1, 65536)

_NAME, _IPV6, _PORT = r"[^\s/:@\[\]]+", r"[0-9a-fA-F:.]+(?:%\w+)?", r"(?::(\d{1,5}))?"  # IPv6, perhaps with interface
_PLACE = re.compile(rf"({_NAME}){_PORT}|({_IPV6})|\[({_IPV6})\]{_PORT}")
_PROXY = re.compile(r"(socks5|http)://(?:([^\s/:@]+)@)?([^\s/@]+)")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_PATH = re.compile("/[!-~]*")
_OURS = ("host", "connection", "upgrade")  # and sec-websocket-...


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A value that stands in a file of its own: its path, or without a folder a systemd credential."""

    file: str


class Tls(Struct, frozen=True, kw_only=True):
    """TLS is on unless somebody switches it off; the broker's certificate and name are verified unless `insecure`."""

    enabled: Annotated[bool, Meta(description="false only on a network that nobody else can reach")] = True
    ca_file: Annotated[str, Meta(description="CA that signed the broker's certificate; empty: the system's")] = ""
    cert_file: Annotated[str, Meta(description="client certificate, where the broker asks for one")] = ""
    key_file: Annotated[str, Meta(description="its private key; empty: in cert_file")] = ""
    key_password_file: Annotated[
        str, Meta(description="file with that key's password; relative: a credential; empty: credential mqtt.key")
    ] = ""
    alpn: Annotated[
        str, Meta(max_length=255, pattern="^[!-~]*$", description='protocol named in the handshake, "x-amzn-mqtt-ca"')
    ] = ""
    insecure: Annotated[
        bool, Meta(description="true: whoever answers is believed to be the broker and gets the password")
    ] = False


class WebSocket(Struct, frozen=True, kw_only=True):
    """Where MQTT stands on the web server, with transport = "websockets"."""

    path: Annotated[str, Meta(description="where MQTT stands on that server, beginning with /")] = "/mqtt"
    headers: Annotated[
        dict[str, str | File],
        Meta(description="HTTP headers to add: a text, or { file = ... } for a file or a credential"),
    ] = {}

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f'path {quoted(self.shown_path)} does not begin with /; allowed: such as "/mqtt"')
        if not _PATH.fullmatch(self.path):
            text = "holds what no URL holds as it is, such as a blank; allowed: %20 for it"
            raise ValueError(f"path {quoted(self.shown_path)} {text}")
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
                raise ValueError(f"headers {name[:40]!r} may not be set; allowed: names such as Authorization")
            if isinstance(value, str) and not is_header(value):
                raise ValueError(f"headers {name}: a value that is not shown here; allowed: one line of Latin letters")

    @property
    def shown_path(self) -> str:
        """The path as it may stand in a line: what follows the ? is often a token."""
        return self.path.partition("?")[0]


class Mqtt(Struct, frozen=True, kw_only=True):
    """Where the broker is and who we are."""

    host: Annotated[
        str | list[str],  # patterns in such a union crash msgspec 0.22, so they are looked at below
        Meta(description="the broker's name or address, without mqtts://, perhaps with :port; several: tried in turn"),
    ]
    port: Annotated[int, Meta(ge=0, le=65535, description="0: 8883 with TLS, 1883 without; websockets: 443, 80")] = 0
    username: Annotated[str, Meta(max_length=LONGEST, pattern=PLAIN, description="empty: no login")] = ""
    password_file: Annotated[
        str, Meta(description="file with the password; relative: a systemd credential; empty: credential mqtt.password")
    ] = ""
    client_id: Annotated[str, Meta(max_length=LONGEST, pattern=PLAIN, description="empty: stoker-<device.id>")] = ""
    keepalive: Annotated[Seconds, Meta(ge=5, le=3600, description="silence after which the line is tested")] = 30.0
    protocol: Annotated[Literal["auto", "5", "3.1.1"], Meta(description="auto: 5, and 3.1.1 where that is refused")] = (
        "auto"
    )
    reconnect_max: Annotated[Seconds, Meta(ge=1, le=3600, description="longest pause between two tries")] = 10.0
    transport: Annotated[Literal["tcp", "websockets"], Meta(description="what carries MQTT")] = "tcp"
    proxy: Annotated[str, Meta(description='way out: "socks5://[user@]host:port" or "http://..."; empty: none')] = ""
    proxy_password_file: Annotated[
        str,
        Meta(description="file with the proxy user's password; relative: a credential; empty: credential mqtt.proxy"),
    ] = ""
    tls: Tls = Tls()
    websocket: WebSocket = WebSocket()

    def __post_init__(self) -> None:
        for host in self._hosts:
            if _place(host) is None:
                found = "(not shown here)" if "@" in host else quoted(host)
                raise ValueError(f"host {found} is none; allowed: a name or address, without mqtts://, or name:port")
        if not self._hosts:
            raise ValueError("host holds an empty list; allowed: a name or address, or several")
        if self.proxy and proxy(self) is None:  # what stands there may hold a password
            raise ValueError(
                "proxy holds what is none (not shown here); allowed: socks5://host:1080, http://user@host:3128, "
                "the password in proxy_password_file"
            )

    @property
    def _hosts(self) -> list[str]:
        return [self.host] if isinstance(self.host, str) else self.host

    @property
    def brokers(self) -> tuple["Mqtt", ...]:
        """The same for each host by itself, in their order."""
        return tuple(replace(self, host=host) for host in self._hosts)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the default port filled in; of several, the first's."""
        host, port = _place(self._hosts[0]) or ("", 0)
        plain, encrypted = (80, 443) if self.transport == "websockets" else (1883, 8883)
        return host, port or self.port or (encrypted if self.tls.enabled else plain)


class Proxy(Struct, frozen=True):
    """A proxy, taken apart."""

    scheme: str
    user: str
    host: str
    port: int


def proxy(settings: Mqtt) -> Proxy | None:
    """What `proxy` says, or None where it says nothing, or nothing that can be understood."""
    if not (found := _PROXY.fullmatch(settings.proxy)) or not (place := _place(found[3])) or not place[1]:
        return None
    return Proxy(found[1], found[2] or "", *place)


def _place(host: str) -> tuple[str, int] | None:
    """`name`, `name:8883`, `::1` or `[::1]:8883` -> the host and its port, 0 where it names none; None if neither."""
    if not (found := _PLACE.fullmatch(host)):
        return None
    port = found[2] or found[5]
    if port and int(port) not in PORTS:
        return None
    return found[1] or found[3] or found[4], int(port or 0)


def quoted(text: str) -> str:
    """As it may stand in a line: short and printable."""
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:60]) + '"'


def is_header(value: str) -> bool:
    """Whether HTTP takes this as a header's value: one line, Latin-1."""
    return all(c == "\t" or (c.isprintable() and c <= "\xff") for c in value)


class Backlog(Struct, frozen=True, kw_only=True):
    """What waits for the broker: readings and events that could not be said in their time."""

    records: Annotated[
        int,
        Meta(
            ge=0,
            le=500_000,
            description="readings and events that wait for the broker at most, 256 bytes each on average; 0: none",
        ),
    ] = 100_000


def ping_after(keepalive: float, lifetime: float) -> float:
    """Seconds without a question after which we ask whether the line lives; in them an order may age unseen."""
    return min(PING_AFTER * keepalive, max(SHORTEST_SILENCE, lifetime / 2))
