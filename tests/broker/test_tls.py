"""TLS as it should be: who signed what for whom and until when, keys with passwords, ALPN, nothing unverified unsaid.

The certificates are real, made on the spot; what is wrong with them is read from a real handshake.
"""

import logging
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from broker.mosquitto import Authority, MakeBroker, Mosquitto
from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink
from stoker.core.messages import LinkUp
from stoker.link.settings import Mqtt, Tls

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
PASSWORD = b"open sesame"


class Signed:
    """A certificate and its key, signed by another or by itself."""

    def __init__(
        self,
        name: str,
        by: "Signed | None" = None,
        *,
        begins: datetime = NOW - 10 * DAY,
        ends: datetime = NOW + 10 * DAY,
    ) -> None:
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        is_ca = by is None or name.endswith("CA")
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(by.name if by else self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        self.certificate = builder.sign((by or self).key, hashes.SHA256())

    def context(self, folder: Path, *chain: "Signed") -> ssl.SSLContext:
        """For a server that shows it, and these above it."""
        (folder / "chain.pem").write_bytes(b"".join(map(Signed.pem, (self, *chain))))
        key = self.key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
        (folder / "server.key").write_bytes(key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "chain.pem", folder / "server.key")
        return context

    def pem(self) -> bytes:
        return self.certificate.public_bytes(forms.Encoding.PEM)

    def file(self, folder: Path) -> str:
        path = folder / "trusted.pem"
        path.write_bytes(self.pem())
        return str(path)


def told(link: MakeLink, context: ssl.SSLContext, tls: Tls, reason: str) -> str:
    """What the user reads, with the broker's place cut out."""
    with TinyBroker({5: connack(0, 5)}, context=context) as tiny:
        _, heard = link(plain(tiny.port, host="localhost", tls=tls))
        down = heard.down(reason)
        return down.text.replace(f"localhost:{tiny.port}", "BROKER")


def day(when: datetime) -> str:
    return when.strftime("%Y-%m-%d")


def test_expired_yesterday(link: MakeLink, tmp_path: Path) -> None:
    ca = Signed("Shed CA")
    context = Signed("old", ca, ends=NOW - DAY).context(tmp_path)
    assert told(link, context, Tls(ca_file=ca.file(tmp_path)), "certificate-expired") == (
        f'the certificate of BROKER (for localhost), signed by "Shed CA", expired on {day(NOW - DAY)}: '
        f"renew it at the broker, or set this machine's clock, which says {day(NOW)}"
    )


def test_not_yet_valid_or_a_pi_without_the_time(link: MakeLink, tmp_path: Path) -> None:
    ca = Signed("Shed CA")
    context = Signed("new", ca, begins=NOW + 3 * DAY).context(tmp_path)
    assert told(link, context, Tls(ca_file=ca.file(tmp_path)), "certificate-not-yet-valid") == (
        f'the certificate of BROKER (for localhost), signed by "Shed CA", is not valid before {day(NOW + 3 * DAY)}, '
        f"and this machine's clock says {day(NOW)}: is it right?"
    )


def test_a_certificate_above_it_expired(link: MakeLink, tmp_path: Path) -> None:
    root = Signed("Root CA")
    between = Signed("Between CA", root, ends=NOW - DAY)
    context = Signed("leaf", between).context(tmp_path, between)
    assert told(link, context, Tls(ca_file=root.file(tmp_path)), "certificate-expired") == (
        f'the certificate of BROKER (for localhost), signed by "Between CA", is good until {day(NOW + 10 * DAY)}, '
        f"but a CA's certificate above it expired: renew that one, or set this machine's clock, which says {day(NOW)}"
    )


def test_signed_by_somebody_unknown(link: MakeLink, tmp_path: Path) -> None:
    trusted = Signed("Shed CA").file(tmp_path)
    context = Signed("leaf", Signed("Mallory CA")).context(tmp_path)
    assert told(link, context, Tls(ca_file=trusted), "not-trusted").startswith(
        'the certificate of BROKER (for localhost), signed by "Mallory CA", '
        f"is not signed by any CA in {trusted} (unable to get local issuer certificate): set mqtt.tls.ca_file"
    )


def test_signed_by_itself(link: MakeLink, tmp_path: Path) -> None:
    context = Signed("its own").context(tmp_path)
    assert told(link, context, Tls(), "self-signed") == (
        'the certificate of BROKER (for localhost) is signed by a CA of its owner\'s own ("its own"), '
        "which is not in the system's store: set mqtt.tls.ca_file to that CA's certificate"
    )


def test_a_renewed_certificate_counts_at_the_next_try(link: MakeLink, tmp_path: Path) -> None:
    ca = Signed("Shed CA")
    context = Signed("old", ca, ends=NOW - DAY).context(tmp_path)
    with TinyBroker({5: connack(0, 5)}, context=context) as tiny:
        _, heard = link(plain(tiny.port, host="localhost", tls=Tls(ca_file=ca.file(tmp_path))))
        heard.down("certificate-expired")
        Signed("new", ca).context(tmp_path)
        context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "server.key")
        heard.next(LinkUp, timeout=20)


# --- unverified -------------------------------------------------------------------------------------------------------


def test_what_is_not_verified_is_said_at_each_connection(
    link: MakeLink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = Signed("old", ends=NOW - DAY).context(tmp_path)
    with TinyBroker({5: connack(0, 5)}, context=context) as tiny, caplog.at_level(logging.WARNING):
        _, heard = link(plain(tiny.port, tls=Tls(insecure=True)))
        heard.next(LinkUp)
        tiny.hang_up()
        heard.next(LinkUp)
    warning = f"127.0.0.1:{tiny.port} is not verified (mqtt.tls.insecure): it may be anybody, and has our password"
    assert [record.getMessage() for record in caplog.records] == [warning, warning]


# --- ALPN, and our own certificate ------------------------------------------------------------------------------------


def test_alpn_as_aws_iot_wants_it_on_port_443(link: MakeLink, tmp_path: Path) -> None:
    ca = Signed("Shed CA")
    context = Signed("leaf", ca).context(tmp_path)
    context.set_alpn_protocols(["http/1.1", "x-amzn-mqtt-ca"])
    chosen: list[str | None] = []

    class Socket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            chosen.append(self.selected_alpn_protocol())

    context.sslsocket_class = Socket
    with TinyBroker({5: connack(0, 5)}, context=context) as tiny:
        tls = Tls(ca_file=ca.file(tmp_path), alpn="x-amzn-mqtt-ca")
        _, heard = link(plain(tiny.port, host="localhost", tls=tls))
        heard.next(LinkUp)
    assert chosen == ["x-amzn-mqtt-ca"]


@pytest.fixture
def locked(authority: Authority, tmp_path: Path) -> tuple[str, str]:
    """A client certificate, and its key under a password."""
    certificate, key = authority.issue("shed.example")
    plain_key = forms.load_pem_private_key(key.read_bytes(), None)
    path = tmp_path / "locked.key"
    path.write_bytes(
        plain_key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.BestAvailableEncryption(PASSWORD))
    )
    return str(certificate), str(path)


@pytest.mark.parametrize("way", ["a file", "the credential", "another credential"])
def test_a_key_with_a_password(
    strict: Mosquitto,
    link: MakeLink,
    locked: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    name = {"a file": "word", "the credential": "mqtt.key", "another credential": "another"}[way]
    (tmp_path / name).write_bytes(PASSWORD + b"\n")
    if "credential" in way:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    told_file = {"a file": str(tmp_path / name), "the credential": "", "another credential": name}[way]
    tls = Tls(ca_file=str(strict.ca_file), cert_file=locked[0], key_file=locked[1], key_password_file=told_file)
    _, heard = link(strict.settings(tls=tls))
    heard.next(LinkUp)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "mqtt.tls.key_file: {key} asks for a password: put it in a file, and name that in key_password_file"),
        (b"guessed", "mqtt.tls.key_password_file: what stands there does not open the key in {key}"),
        (b"", "mqtt.tls.key_password_file: {file} is empty"),
        (b"x" * 2000, "mqtt.tls.key_password_file: what stands there is too long for a password"),
    ],
    ids=["none", "wrong", "empty", "too long"],
)
def test_a_key_whose_password_is_not_right(
    link: MakeLink, locked: tuple[str, str], tmp_path: Path, content: bytes | None, text: str
) -> None:
    file = tmp_path / "word"
    tls = Tls(cert_file=locked[0], key_file=locked[1])
    if content is not None:
        file.write_bytes(content)
        tls = replace(tls, key_password_file=str(file))
    _, heard = link(Mqtt(host="127.0.0.1", port=9, tls=tls))
    reason = "password-file" if content == b"" else "cert-file"
    assert heard.down(reason).text == text.format(key=locked[1], file=file)


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_no_secret_is_ever_logged_or_told(
    mosquitto: MakeBroker,
    authority: Authority,
    link: MakeLink,
    locked: tuple[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    word = tmp_path / "word"
    word.write_bytes(PASSWORD)
    broker = mosquitto(authority=authority).start()
    tls = Tls(ca_file=str(broker.ca_file), cert_file=locked[0], key_file=locked[1], key_password_file=str(word))
    _, good = link(broker.settings(tls=tls))
    good.next(LinkUp)
    broker.password_file("shed").write_text("guessed")
    _, refused = link(broker.settings(tls=tls))
    refused.down("bad-login")
    word.write_bytes(b"guessed")
    _, locked_out = link(broker.settings(tls=tls))
    locked_out.down("cert-file")
    said = caplog.text + repr(good.all + refused.all + locked_out.all)
    assert not [secret for secret in ("open sesame", "guessed", "s3cret") if secret in said]
