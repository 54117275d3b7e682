"""Every way in which the line to the broker can fail, and the sentence that a user reads."""

import errno
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from stoker.link import words
from stoker.link.settings import Mqtt, Tls
from stoker.link.wellformed import is_filter, is_topic

SETTINGS = Mqtt(host="broker.example", username="shed", tls=Tls(ca_file="/etc/stoker/ca.pem"))
CERTIFICATE = {
    "notAfter": "Jun  1 12:00:00 2025 GMT",
    "notBefore": "Jan  1 12:00:00 2040 GMT",
    "subjectAltName": (("DNS", "other.example"), ("IP Address", "10.0.0.1")),
    "issuer": ((("organizationName", "Shed & Co"),), (("commonName", "Shed\x07 CA"),)),
}
WHOSE = "the certificate of broker.example:8883 (for other.example, 10.0.0.1)"
SIGNED = ', signed by "Shed\\x07 CA, Shed & Co",'


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1000)")
    error.reason, error.library = reason, "SSL"
    return error


def not_verified(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "name-not-found",
            "there is no host named broker.example: check mqtt.host",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "no-name-server",
            "the name broker.example cannot be looked up now: is the network up?",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
            "connection-refused",
            "nothing listens at broker.example:8883: does the broker run there?",
        ),
        (
            TimeoutError("timed out"),
            "timed-out",
            "broker.example:8883 does not answer: is it on, and does a firewall stand between?",
        ),
        (
            OSError(errno.ETIMEDOUT, "Connection timed out"),
            "timed-out",
            "broker.example:8883 does not answer: is it on, and does a firewall stand between?",
        ),
        (
            OSError(errno.EHOSTUNREACH, "No route to host"),
            "unreachable",
            "no way to broker.example:8883 (No route to host): is the network up?",
        ),
        (
            OSError(errno.ENETUNREACH, "Network is unreachable"),
            "unreachable",
            "no way to broker.example:8883 (Network is unreachable): is the network up?",
        ),
        (ConnectionResetError(), "closed", "broker.example:8883 closed the connection"),
        (BrokenPipeError(), "closed", "broker.example:8883 closed the connection"),
        (UnicodeError("label too long"), "bad-host", "'broker.example' is no host's name or address: set mqtt.host"),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "connection-failed",
            "no connection to broker.example:8883: [Errno 24] Too many open files",
        ),
    ],
)
def test_the_network(error: OSError, reason: str, text: str) -> None:
    found = words.explain(error, SETTINGS)
    assert (found.reason, found.text) == (reason, text)


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (
            20,
            "not-trusted",
            f"{WHOSE}{SIGNED} is not signed by any CA in /etc/stoker/ca.pem (why): "
            "set mqtt.tls.ca_file to the right CA's certificate",
        ),
        (
            18,
            "self-signed",
            f"{WHOSE} is signed by a CA of its owner's own "
            '("Shed\\x07 CA, Shed & Co"), which is not in /etc/stoker/ca.pem: '
            "set mqtt.tls.ca_file to that CA's certificate",
        ),
        (
            62,
            "wrong-name",
            f"the certificate of broker.example:8883{SIGNED} is for other.example, 10.0.0.1, not for broker.example: "
            "check mqtt.host",
        ),
        (10, "certificate-expired", f"{WHOSE}{SIGNED} expired on 2025-06-01: renew it at the broker, or set this"),
        (9, "certificate-not-yet-valid", f"{WHOSE}{SIGNED} is not valid before 2040-01-01, and this machine's clock"),
    ],
)
def test_a_certificate_that_does_not_verify(code: int, reason: str, text: str) -> None:
    found = words.explain(not_verified(code, "why"), SETTINGS, CERTIFICATE)
    assert found.reason == reason
    assert text in found.text
    without = words.explain(not_verified(code, "why"), SETTINGS)
    assert without.reason == reason
    assert "signed by " not in without.text.replace("not signed by any", "").replace("signed by a CA of", "")
    assert found.pace == "person"


def test_a_certificate_above_the_brokers_expired() -> None:
    good = {**CERTIFICATE, "notAfter": "Jun  1 12:00:00 2999 GMT"}
    found = words.explain(not_verified(10, "why"), SETTINGS, good)
    assert "is good until 2999-06-01, but a CA's certificate above it expired: renew that one" in found.text


def test_a_date_that_is_none() -> None:
    found = words.explain(not_verified(10, "why"), SETTINGS, {"notAfter": "nonsense"})
    assert found.reason == "certificate-expired"


def test_an_address_in_brackets() -> None:
    error = not_verified(64, "IP address mismatch")
    found = words.explain(error, Mqtt(host="::1"))
    assert found.text == "the certificate of [::1]:8883 names other hosts, not for ::1: check mqtt.host"


@pytest.mark.parametrize(
    ("openssl", "reason", "text"),
    [
        ("WRONG_VERSION_NUMBER", "no-tls", "does not speak TLS: set mqtt.port to its TLS port"),
        ("RECORD_LAYER_FAILURE", "no-tls", "does not speak TLS: set mqtt.port to its TLS port"),
        ("UNEXPECTED_EOF_WHILE_READING", "tls-closed", "hung up during the TLS handshake"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "client-certificate", "asks for a client certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "client-certificate", "does not know the CA of our mqtt.tls.cert_file"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "client-certificate", "our certificate expired: renew mqtt.tls.cert_file"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "client-certificate", "refused our certificate: check mqtt.tls.cert_file"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "client-certificate", "refused our certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "tls-failed", "refused the TLS handshake"),
        ("UNSUPPORTED_PROTOCOL", "tls-failed", "offers nothing as new as TLS 1.2"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tls-failed", "offers nothing as new as TLS 1.2"),
        ("SOMETHING_NEW", "tls-failed", "TLS with broker.example:8883 failed: SOMETHING_NEW"),
    ],
)
def test_tls(openssl: str, reason: str, text: str) -> None:
    found = words.explain(tls_error(openssl), SETTINGS)
    assert found.reason == reason
    assert text in found.text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file"), "key: there is no file /x"),
        (PermissionError(errno.EACCES, "no"), "key: /x may not be read by this user: check its owner and mode"),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), "key: /x cannot be read: Is a directory"),
    ],
)
def test_a_file(error: OSError, text: str) -> None:
    found = words.unreadable("ca-file", "key", "/x", error)
    assert (found.reason, found.text, found.pace) == ("ca-file", text, "person")


@pytest.mark.parametrize("code", [*words.CONNACK, 0x80])
def test_a_refused_connection(code: int) -> None:
    found = words.connack(code, SETTINGS, "5")
    assert found.reason == words.CONNACK.get(code, ("refused", ""))[0]
    assert found.text.startswith("broker.example:8883 ")
    assert "{" not in found.text


@pytest.mark.parametrize("code", [*words.DISCONNECT, 0x80])
def test_a_goodbye(code: int) -> None:
    found = words.disconnect(code, SETTINGS, "stoker-shed")
    assert found.reason == words.DISCONNECT.get(code, ("closed", ""))[0]
    assert "broker.example:8883" in found.text or "stoker-shed" in found.text


def test_codes_in_words() -> None:
    assert words.connack(0x87, SETTINGS, "5").text == (
        "broker.example:8883 refused user 'shed': check mqtt.username, the password, and the rights at the broker"
    )
    assert words.connack(0x80, SETTINGS, "5").text == "broker.example:8883 refused the connection (MQTT reason 0x80)"
    assert words.denial(0x87) == "not authorised; grant it at the broker"
    assert words.denial(0x80) == "the broker gives no reason; often a right is missing there"


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        (Mqtt(host="b", tls=Tls(enabled=False)), "b:1883 answered MQTT 5 by closing the connection: is that its TLS"),
        (Mqtt(host="b"), "does it ask for a client certificate? (mqtt.tls.cert_file)"),
        (Mqtt(host="b", tls=Tls(cert_file="/x")), "is that an MQTT port?"),
    ],
)
def test_a_connection_closed_without_a_word(settings: Mqtt, hint: str) -> None:
    assert hint in words.closed_early(settings, "5").text


@pytest.mark.parametrize("name", ["a", "a/b", "/", "stoker/shed/room", "Wärme/°C", "a b", "x" * 65535])
def test_topics_that_mqtt_allows(name: str) -> None:
    assert is_topic(name)
    assert is_filter(name)


@pytest.mark.parametrize("name", ["", "nul\0", "bell\a", "line\n", "\ud800", "x" * 65536, "ä" * 32768])
def test_topics_that_mqtt_does_not_allow(name: str) -> None:
    assert not is_topic(name)
    assert not is_filter(name)


@pytest.mark.parametrize("name", ["#", "+", "a/#", "+/b", "a/+/c", "+/+/#"])
def test_filters(name: str) -> None:
    assert is_filter(name)
    assert not is_topic(name)


@pytest.mark.parametrize("name", ["a#", "a+", "#/a", "a/#/b", "+a/b", "##"])
def test_what_is_neither(name: str) -> None:
    assert not is_filter(name)
    assert not is_topic(name)


def test_settings_and_words_come_without_tls_and_without_paho() -> None:
    code = "import sys, stoker.link.settings, stoker.link.words; print({'ssl', 'paho'} & set(sys.modules))"
    folders = {"PYTHONPATH": str(Path(__file__).parents[2] / "daemon")}
    done = subprocess.run([sys.executable, "-c", code], env=folders, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
