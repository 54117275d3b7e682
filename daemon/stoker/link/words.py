"""What went wrong between us and the broker -> a reason code and one plain sentence that says what to do.

Nothing heavy is imported: an error is told by what it carries, so `ssl` and paho stay out. No text holds a secret.
"""

import errno
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from stoker.link.backoff import Pace
from stoker.link.settings import Mqtt, Proxy, quoted

NEEDS_A_PERSON = frozenset(
    {
        "bad-login",
        "banned",
        "ca-file",
        "cert-file",
        "certificate-expired",
        "certificate-not-yet-valid",
        "client-certificate",
        "client-id",
        "no-tls",
        "not-trusted",
        "moved",
        "password-file",
        "proxy-login",
        "self-signed",
        "websocket",
        "wrong-name",
    }
)
"""Reasons that no retry mends: trying goes on, at longer intervals."""

OVERLOADED = frozenset({"broker-busy", "broker-unavailable", "elsewhere", "hangs"})
"""Reasons that haste makes worse: trying goes on at somewhat longer intervals."""

# X.509 verification results (openssl, x509_vfy.h)
NOT_YET_VALID, EXPIRED, SELF_SIGNED, SELF_SIGNED_ROOT, WRONG_NAME, WRONG_ADDRESS = 9, 10, 18, 19, 62, 64
EXPLAINED_BY_CERTIFICATE = frozenset({EXPIRED, NOT_YET_VALID, WRONG_NAME, WRONG_ADDRESS})
"""Results that the certificate itself says more about: its dates, its names."""

UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL})

SYSTEM: tuple[tuple[type[BaseException], str, str], ...] = (
    (TimeoutError, "timed-out", "{broker} does not answer: is it on, and does a firewall stand between?"),
    (ConnectionRefusedError, "connection-refused", "nothing listens at {broker}: does the broker run there?"),
    (ConnectionError, "closed", "{broker} closed the connection"),
    # what neither a name server nor TLS takes: empty labels, too long ones, a NUL
    (ValueError, "bad-host", "{host!r} is no host's name or address: set mqtt.host"),
)
"""What the system says: the first that fits."""

HUNG_UP = "{broker} hung up during the TLS handshake: is that its TLS port (often 8883)?"

TLS: tuple[tuple[str, str, str], ...] = (
    ("WRONG_VERSION_NUMBER", "no-tls", "{broker} does not speak TLS: set mqtt.port to its TLS port (often 8883)"),
    ("RECORD_LAYER_FAILURE", "no-tls", "{broker} does not speak TLS: set mqtt.port to its TLS port (often 8883)"),
    ("EOF", "tls-closed", HUNG_UP),
    (
        "CERTIFICATE_REQUIRED",
        "client-certificate",
        "{broker} asks for a client certificate: set mqtt.tls.cert_file and mqtt.tls.key_file",
    ),
    ("ALERT_UNKNOWN_CA", "client-certificate", "{broker} does not know the CA of our mqtt.tls.cert_file"),
    ("ALERT_CERTIFICATE_EXPIRED", "client-certificate", "our certificate expired: renew mqtt.tls.cert_file"),
    ("ALERT_BAD_CERTIFICATE", "client-certificate", "{broker} refused our certificate: check mqtt.tls.cert_file"),
    ("ALERT_CERTIFICATE", "client-certificate", "{broker} refused our certificate: check mqtt.tls.cert_file"),
    ("ALERT_ACCESS_DENIED", "client-certificate", "{broker} refused our certificate: check mqtt.tls.cert_file"),
    (
        "HANDSHAKE_FAILURE",
        "tls-failed",
        "{broker} refused the TLS handshake: does it ask for a client certificate (mqtt.tls.cert_file)?",
    ),
    ("PROTOCOL", "tls-failed", "{broker} offers nothing as new as TLS 1.2: it has to be updated"),
)
"""A part of OpenSSL's reason -> what it means: the first that fits."""

# What the broker says, by MQTT 5's reason codes (2.4); paho translates those of 3.1.1.
CONNACK = {
    0x84: ("protocol", "{broker} does not speak MQTT {version}: set mqtt.protocol to auto"),
    0x85: ("client-id", "{broker} refused our client id: set mqtt.client_id"),
    0x86: ("bad-login", "{broker} refused {who}: check mqtt.username and the password"),
    0x87: ("bad-login", "{broker} refused {who}: check mqtt.username, the password, and the rights at the broker"),
    0x88: ("broker-unavailable", "{broker} says that it is unavailable now"),
    0x89: ("broker-busy", "{broker} says that it is busy"),
    0x8A: ("banned", "{broker} has banned this client: ask whoever runs it"),
    0x8C: ("bad-login", "{broker} wants another way to log in than a password"),
    0x97: ("broker-busy", "{broker} has more clients than it is allowed"),
    0x9A: ("no-retain", "{broker} refused our will, since it keeps no retained messages"),
    0x9B: ("no-quality", "{broker} refused our will, since it takes QoS 0 alone"),
    0x9C: ("elsewhere", "{broker} asks for another server to be used for now"),
    0x9D: ("moved", "{broker} says that it has moved for good"),
    0x9F: ("broker-busy", "{broker} says that connections come too often"),
}
DISCONNECT = {
    0x00: ("closed", "{broker} ended the connection"),
    0x87: ("closed", "{broker} ended the connection: not authorised any more"),
    0x89: ("broker-busy", "{broker} ended the connection: it is busy"),
    0x8B: ("broker-stopped", "{broker} is shutting down"),
    0x8D: ("keepalive", "{broker} heard nothing from us for too long"),
    0x8E: ("taken-over", "another client uses our client id {client_id!r}: give each its own mqtt.client_id"),
    0x95: ("closed", "{broker} ended the connection: a packet was too large for it"),
    0x97: ("broker-busy", "{broker} ended the connection: a quota is exceeded"),
    0x98: ("closed", "{broker} ended the connection: its administrator did"),
    0x9C: ("elsewhere", "{broker} ended the connection: another server is to be used for now"),
    0x9D: ("moved", "{broker} ended the connection: it has moved for good"),
}
DENIED = {
    0x83: "this broker does not allow it",
    0x87: "not authorised; grant it at the broker",
    0x8F: "this broker does not take such a topic filter",
    0x90: "this broker does not take such a topic",
    0x97: "a quota is exceeded",
    0x9E: "this broker has no shared subscriptions",
    0xA2: "this broker has no wildcards",
}


REASONS = (
    NEEDS_A_PERSON
    | OVERLOADED
    | {reason for _, reason, _ in (*SYSTEM, *TLS)}
    | {reason for reason, _ in (*CONNACK.values(), *DISCONNECT.values())}
    | {"closed-early", "connection-failed", "internal-error", "malformed", "name-not-found", "no-acknowledgement"}
    | {"no-answer", "no-name-server", "proxy", "refused", "stood-still", "tls-closed", "unreachable"}
)
"""Every reason that there is, for who counts from nought."""


class LinkError(Exception):
    """No connection, or no more: `reason` is a short code, the text says what was seen and what to do."""

    def __init__(self, reason: str, text: str, elsewhere: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.elsewhere = elsewhere  # host:port of the servers that the broker sends us to

    @property
    def pace(self) -> Pace:
        """How much haste is of use."""
        if self.reason in NEEDS_A_PERSON:
            return "person"
        return "busy" if self.reason in OVERLOADED else "soon"


def place(settings: Mqtt) -> str:
    """The broker as people write it: host:port."""
    host, port = settings.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def explain(error: BaseException, settings: Mqtt, certificate: Mapping[str, Any] | None = None) -> LinkError:
    """Say what an error from the name server, TCP or TLS means. `certificate`: the broker's, where it is known."""
    broker, host = place(settings), settings.address[0]
    if code := getattr(error, "verify_code", 0):
        return _not_trusted(code, getattr(error, "verify_message", ""), settings, certificate or {})
    if hasattr(error, "library"):  # ssl.SSLError
        return _tls(str(getattr(error, "reason", None) or error), broker)
    if isinstance(error, socket.gaierror):
        return _no_name(error, host)
    if isinstance(error, OSError) and error.errno in UNREACHABLE:
        return LinkError("unreachable", f"no way to {broker} ({error.strerror}): is the network up?")
    for kind, reason, text in SYSTEM:
        if isinstance(error, kind):
            return LinkError(reason, text.format(broker=broker, host=host))
    return LinkError("connection-failed", f"no connection to {broker}: {error}")


def _no_name(error: socket.gaierror, host: str) -> LinkError:
    if error.errno == socket.EAI_AGAIN:
        return LinkError("no-name-server", f"the name {host} cannot be looked up now: is the network up?")
    return LinkError("name-not-found", f"there is no host named {host}: check mqtt.host")


def _tls(reason: str, broker: str) -> LinkError:
    for part, code, text in TLS:
        if part in reason:
            return LinkError(code, text.format(broker=broker))
    return LinkError("tls-failed", f"TLS with {broker} failed: {reason}")


def _not_trusted(code: int, message: str, settings: Mqtt, certificate: Mapping[str, Any]) -> LinkError:
    broker, issuer, names = place(settings), _issuer(certificate), ", ".join(_names(certificate))
    its = f"the certificate of {broker}"
    whose = f"{its}{f' (for {names})' if names else ''}"
    signed = f", signed by {issuer}," if issuer else ""
    if code in {WRONG_NAME, WRONG_ADDRESS}:
        held = f"is for {names}" if names else "names other hosts"
        return LinkError("wrong-name", f"{its}{signed} {held}, not for {settings.address[0]}: check mqtt.host")
    if code == EXPIRED:
        return _expired(whose + signed, certificate)
    if code == NOT_YET_VALID:
        since = f" before {_date(certificate['notBefore'])}" if "notBefore" in certificate else " yet"
        text = f"{whose}{signed} is not valid{since}, and this machine's clock says {_today()}: is it right?"
        return LinkError("certificate-not-yet-valid", text)
    where = settings.tls.ca_file or "the system's store"
    if code in {SELF_SIGNED, SELF_SIGNED_ROOT}:
        owner = f" ({issuer})" if issuer else ""
        text = f"{whose} is signed by a CA of its owner's own{owner}, which is not in {where}"
        return LinkError("self-signed", f"{text}: set mqtt.tls.ca_file to that CA's certificate")
    text = f"{whose}{signed} is not signed by any CA in {where} ({message})"
    return LinkError("not-trusted", f"{text}: set mqtt.tls.ca_file to the right CA's certificate")


def _expired(whose: str, certificate: Mapping[str, Any]) -> LinkError:
    until = _date(certificate["notAfter"]) if "notAfter" in certificate else ""
    if until > _today():  # so it was one above it
        what = f"{whose} is good until {until}, but a CA's certificate above it expired: renew that one"
    else:
        what = f"{whose} expired{f' on {until}' if until else ''}: renew it at the broker"
    return LinkError("certificate-expired", f"{what}, or set this machine's clock, which says {_today()}")


def _names(certificate: Mapping[str, Any]) -> Iterator[str]:
    for _, name in certificate.get("subjectAltName", ())[:5]:
        yield _shown(name)


def _issuer(certificate: Mapping[str, Any]) -> str:
    """Who signed: the common name, and the organisation where there is one."""
    fields = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    names = [fields[key] for key in ("commonName", "organizationName", "organizationalUnitName") if key in fields]
    return quoted(", ".join(names[:2])) if names else ""


def _shown(name: str) -> str:
    """A name out of a certificate that nobody has vouched for."""
    return quoted(name)[1:-1]


def _date(text: str) -> str:
    """`Jun  1 12:00:00 2025 GMT` -> `2025-06-01`. As it is, where it is something else."""
    try:
        return datetime.strptime(text, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC).strftime("%Y-%m-%d")
    except ValueError:
        return text


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def unreadable(reason: str, key: str, path: object, error: OSError) -> LinkError:
    """A file that the configuration names cannot be read. Its content is never told."""
    match error:
        case FileNotFoundError():
            return LinkError(reason, f"{key}: there is no file {path}")
        case PermissionError():
            return LinkError(reason, f"{key}: {path} may not be read by this user: check its owner and mode")
        case _:
            return LinkError(reason, f"{key}: {path} cannot be read: {error.strerror}")


def connack(code: int, settings: Mqtt, version: str, elsewhere: str = "") -> LinkError:
    """Say why the broker refused the connection. `elsewhere`: its server reference, as it came."""
    broker = place(settings)
    who = f"user {settings.username!r}" if settings.username else "a client without a user name (mqtt.username)"
    reason, text = CONNACK.get(code, ("refused", "{broker} refused the connection (MQTT reason 0x{code:02x})"))
    text = text.format(broker=broker, who=who, version=version, code=code)
    return _sent_elsewhere(reason, text, elsewhere)


def disconnect(code: int, settings: Mqtt, client_id: str, elsewhere: str = "") -> LinkError:
    """Say why the broker said goodbye. `elsewhere`: its server reference, as it came."""
    reason, text = DISCONNECT.get(code, ("closed", "{broker} ended the connection (MQTT reason 0x{code:02x})"))
    return _sent_elsewhere(reason, text.format(broker=place(settings), client_id=client_id, code=code), elsewhere)


def _sent_elsewhere(reason: str, text: str, elsewhere: str) -> LinkError:
    if reason not in ("elsewhere", "moved"):
        return LinkError(reason, text)
    servers = tuple(elsewhere.split()[:8])
    where = f", to {', '.join(map(_shown, servers))}" if servers else ""
    hint = "only hosts that stand in mqtt.host are followed, since they get the password"
    return LinkError(reason, f"{text}{where}: {hint}", servers)


def no_proxy(error: Exception, proxy: Proxy) -> LinkError:
    """The proxy cannot be reached, or hangs up."""
    where = f"[{proxy.host}]:{proxy.port}" if ":" in proxy.host else f"{proxy.host}:{proxy.port}"
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return LinkError("proxy", f"no way through the proxy {where} ({why}): check mqtt.proxy")


def no_websocket(status: int, reason: str, settings: Mqtt) -> LinkError:
    """What answered is a web server that opens no WebSocket, or none at all."""
    broker, path = place(settings), settings.websocket.shown_path
    said = f"{broker} opens no WebSocket at {path}: HTTP {_shown(reason)}"
    if not status:
        return LinkError("websocket", f"{broker} does not speak HTTP: is that its port for WebSockets? (mqtt.port)")
    if status in (401, 403, 407):
        return LinkError("websocket", f"{said}: check mqtt.websocket.headers and the rights at the broker")
    if status == 429 or status >= 500:
        return LinkError("broker-unavailable", said)
    if status == 101:
        return LinkError("websocket", f"{broker} opens a WebSocket at {path} that is not for MQTT")
    return LinkError("websocket", f"{said}: check mqtt.websocket.path and mqtt.port")


def hung_up(settings: Mqtt) -> LinkError:
    """TCP stood, then the broker closed in the middle of the TLS handshake."""
    return LinkError("tls-closed", HUNG_UP.format(broker=place(settings)))


def closed_early(settings: Mqtt, version: str) -> LinkError:
    """TCP and TLS stood, then the broker closed without a word."""
    if not settings.tls.enabled:
        hint = ": is that its TLS port? (mqtt.tls.enabled)"
    elif not settings.tls.cert_file:
        hint = ": does it ask for a client certificate? (mqtt.tls.cert_file)"
    else:
        hint = ": is that an MQTT port?"
    return LinkError("closed-early", f"{place(settings)} answered MQTT {version} by closing the connection{hint}")


def lacks(settings: Mqtt, will: bool, retained: bool, quality: int) -> str:
    """What the broker does not take of us, and what that costs."""
    lacking = [
        text
        for has, text in (
            (will, "accepts us without a will alone: when this device is cut off, the broker tells nobody"),
            (retained, "keeps no retained messages: who comes later hears a state when it changes, or in 15 minutes"),
            (quality, "takes QoS 0 alone: what is on its way when the line is lost is lost"),
        )
        if not has
    ]
    if not lacking:
        return f"{place(settings)} takes a will, retained messages and QoS 1 again"
    return f"{place(settings)} {'; it '.join(lacking)}"


def denial(code: int) -> str:
    """Say why a subscription or a publication was refused."""
    return DENIED.get(code, "the broker gives no reason; often a right is missing there")
