"""What went wrong between us and the broker -> a reason code and one plain sentence that says what to do.

Nothing heavy is imported: an error is told by what it carries, so `ssl` and paho stay out. No text holds a secret.
"""

import errno
import socket
import time
from collections.abc import Mapping
from typing import Any

from stoker.link.settings import Mqtt

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
        "password-file",
        "self-signed",
        "wrong-name",
    }
)
"""Reasons that no retry mends: trying goes on, at longer intervals."""

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
    ("EOF", "no-tls", HUNG_UP),
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
    0x9C: ("moved", "{broker} says that another server is in charge: set mqtt.host"),
    0x9D: ("moved", "{broker} says that another server is in charge: set mqtt.host"),
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


class LinkError(Exception):
    """No connection, or no more: `reason` is a short code, the text says what was seen and what to do."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text

    @property
    def patient(self) -> bool:
        """Whether it is no use to hurry."""
        return self.reason in NEEDS_A_PERSON


def place(settings: Mqtt) -> str:
    """The broker as people write it: host:port."""
    host, port = settings.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def explain(error: BaseException, settings: Mqtt, certificate: Mapping[str, Any] | None = None) -> LinkError:
    """Say what an error from the name server, TCP or TLS means. `certificate`: the broker's, where it is known."""
    broker, host = place(settings), settings.host
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
    broker, file = place(settings), settings.tls.ca_file
    if code in {WRONG_NAME, WRONG_ADDRESS}:
        names = [name for _, name in certificate.get("subjectAltName", ())]
        held = f"is for {', '.join(names)}" if names else "names other hosts"
        return LinkError("wrong-name", f"the certificate of {broker} {held}, not for {settings.host}: check mqtt.host")
    if code == EXPIRED:
        since = f" on {certificate['notAfter']}" if "notAfter" in certificate else ""
        text = f"the certificate of {broker} expired{since}: renew it at the broker"
        return LinkError("certificate-expired", f"{text}, or set this machine's clock ({_today()})")
    if code == NOT_YET_VALID:
        since = f" before {certificate['notBefore']}" if "notBefore" in certificate else " yet"
        text = f"the certificate of {broker} is not valid{since}"
        return LinkError("certificate-not-yet-valid", f"{text}: is this machine's clock right ({_today()})?")
    where = file or "the system's store"
    if code in {SELF_SIGNED, SELF_SIGNED_ROOT}:
        text = f"the certificate of {broker} is signed by a CA of its owner's own, which is not in {where}"
        return LinkError("self-signed", f"{text}: set mqtt.tls.ca_file to that CA's certificate")
    text = f"the certificate of {broker} is not signed by any CA in {where} ({message})"
    return LinkError("not-trusted", f"{text}: set mqtt.tls.ca_file to the right CA's certificate")


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


def connack(code: int, settings: Mqtt, version: str) -> LinkError:
    """Say why the broker refused the connection."""
    broker = place(settings)
    who = f"user {settings.username!r}" if settings.username else "a client without a user name (mqtt.username)"
    reason, text = CONNACK.get(code, ("refused", "{broker} refused the connection (MQTT reason 0x{code:02x})"))
    return LinkError(reason, text.format(broker=broker, who=who, version=version, code=code))


def disconnect(code: int, settings: Mqtt, client_id: str) -> LinkError:
    """Say why the broker said goodbye."""
    reason, text = DISCONNECT.get(code, ("closed", "{broker} ended the connection (MQTT reason 0x{code:02x})"))
    return LinkError(reason, text.format(broker=place(settings), client_id=client_id, code=code))


def hung_up(settings: Mqtt) -> LinkError:
    """TCP stood, then the broker closed in the middle of the TLS handshake."""
    return LinkError("no-tls", HUNG_UP.format(broker=place(settings)))


def closed_early(settings: Mqtt, version: str) -> LinkError:
    """TCP and TLS stood, then the broker closed without a word."""
    if not settings.tls.enabled:
        hint = ": is that its TLS port? (mqtt.tls.enabled)"
    elif not settings.tls.cert_file:
        hint = ": does it ask for a client certificate? (mqtt.tls.cert_file)"
    else:
        hint = ": is that an MQTT port?"
    return LinkError("closed-early", f"{place(settings)} answered MQTT {version} by closing the connection{hint}")


def denial(code: int) -> str:
    """Say why a subscription or a publication was refused."""
    return DENIED.get(code, "the broker gives no reason; often a right is missing there")
