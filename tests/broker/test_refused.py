"""What the user reads when there is no connection: what was seen, where, and what to do. Never a secret, never a trace.

Everything here is a real broker, a real socket or a real file; the words for what cannot be staged are in
`test_words.py`.
"""

import re
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from broker.mosquitto import Authority, MakeBroker, Mosquitto, free_port
from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink
from stoker.core.messages import LinkDown, LinkUp
from stoker.link import dial
from stoker.link import link as link_module
from stoker.link.settings import Mqtt, Tls


def test_wrong_password(broker: Mosquitto, link: MakeLink) -> None:
    broker.password_file("shed").write_text("guessed")
    _, heard = link(broker.settings())
    text = heard.down("bad-login").text
    assert text.startswith(f"127.0.0.1:{broker.port} refused user 'shed': check mqtt.username, the password")
    assert "guessed" not in text


def test_no_user_name(broker: Mosquitto, link: MakeLink) -> None:
    _, heard = link(broker.settings(username=""))
    assert "a client without a user name (mqtt.username)" in heard.down("bad-login").text


def test_wrong_ca(broker: Mosquitto, link: MakeLink, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").ca_file
    _, heard = link(broker.settings(tls=Tls(ca_file=str(other))))
    text = heard.down("not-trusted").text
    assert text.startswith(
        f'the certificate of 127.0.0.1:{broker.port} (for 127.0.0.1, localhost), signed by "trustme '
    )
    assert f"is not signed by any CA in {other}" in text
    assert "set mqtt.tls.ca_file" in text


def test_a_ca_of_ones_own_without_its_file(strict: Mosquitto, link: MakeLink) -> None:
    _, heard = link(strict.settings(tls=Tls()))
    text = heard.down("self-signed").text
    assert "is signed by a CA of its owner's own" in text
    assert "which is not in the system's store: set mqtt.tls.ca_file" in text


def test_expired_certificate(mosquitto: MakeBroker, authority: Authority, link: MakeLink) -> None:
    stale = authority.issue("127.0.0.1", expires=datetime(2001, 2, 3, tzinfo=UTC))
    old = mosquitto(authority=authority, certificate=stale).start()
    _, heard = link(old.settings())
    text = heard.down("certificate-expired").text
    assert text.startswith(f'the certificate of 127.0.0.1:{old.port} (for 127.0.0.1), signed by "trustme ')
    assert f", expired on 2001-02-03: renew it at the broker, or set this machine's clock, which says {today()}" in text


def test_wrong_host_name(mosquitto: MakeBroker, authority: Authority, link: MakeLink) -> None:
    other = mosquitto(authority=authority, certificate=authority.issue("broker.example", "10.0.0.1")).start()
    _, heard = link(other.settings(host="localhost"))
    text = heard.down("wrong-name").text
    assert text.startswith(f'the certificate of localhost:{other.port}, signed by "trustme ')
    assert text.endswith(", is for broker.example, 10.0.0.1, not for localhost: check mqtt.host")


def test_a_plain_port_where_tls_is_expected(mosquitto: MakeBroker, link: MakeLink) -> None:
    plain_broker = mosquitto(users=None).start()
    _, heard = link(plain_broker.settings(tls=Tls()))
    assert "TLS port (often 8883)" in heard.down("tls-closed").text


def test_a_tls_port_where_none_is_expected(broker: Mosquitto, link: MakeLink) -> None:
    _, heard = link(broker.settings(tls=Tls(enabled=False)))
    assert "is that its TLS port? (mqtt.tls.enabled)" in heard.down("closed-early").text


def test_no_client_certificate_where_one_is_asked_for(strict: Mosquitto, link: MakeLink) -> None:
    _, heard = link(strict.settings())
    down = heard.next(LinkDown)
    assert down.reason in {"client-certificate", "closed-early"}  # TLS 1.3 tells it late, and the line may be gone
    assert "mqtt.tls.cert_file" in down.text


def test_a_client_certificate_of_a_stranger(strict: Mosquitto, link: MakeLink, tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "other").issue("shed.example")
    tls = Tls(ca_file=str(strict.ca_file), cert_file=str(certificate), key_file=str(key))
    _, heard = link(strict.settings(tls=tls))
    assert "mqtt.tls.cert_file" in heard.down("client-certificate").text


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


NOBODY = Mqtt(host="127.0.0.1", port=9, username="shed")
"""Never reached: the files come first."""


def put(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_password_file_missing(link: MakeLink, tmp_path: Path) -> None:
    _, heard = link(replace(NOBODY, password_file=str(tmp_path / "none")))
    assert heard.down("password-file").text == f"mqtt.password_file: there is no file {tmp_path}/none"


def test_password_file_unreadable(link: MakeLink, tmp_path: Path) -> None:
    _, heard = link(replace(NOBODY, password_file=str(tmp_path)))
    assert heard.down("password-file").text == f"mqtt.password_file: {tmp_path} cannot be read: Is a directory"


def test_password_file_empty(link: MakeLink, tmp_path: Path) -> None:
    _, heard = link(replace(NOBODY, password_file=put(tmp_path / "password", "\n")))
    assert heard.down("password-file").text == f"mqtt.password_file: {tmp_path}/password is empty"


def test_password_file_relative_without_credentials(link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    _, heard = link(replace(NOBODY, password_file="secret"))
    assert "secret would be a systemd credential, and there are none here" in heard.down("password-file").text


def test_ca_file_missing(link: MakeLink) -> None:
    _, heard = link(replace(NOBODY, tls=Tls(ca_file="/none/ca.pem")))
    assert heard.down("ca-file").text == "mqtt.tls.ca_file: there is no file /none/ca.pem"


def test_ca_file_is_no_certificate(link: MakeLink, tmp_path: Path) -> None:
    ca = put(tmp_path / "ca.pem", "hello")
    _, heard = link(replace(NOBODY, tls=Tls(ca_file=ca)))
    assert heard.down("ca-file").text == f"mqtt.tls.ca_file: {ca} holds no certificate in PEM form"


def test_key_of_another_certificate(link: MakeLink, authority: Authority) -> None:
    certificate, _ = authority.issue("one.example")
    _, key = authority.issue("two.example")
    _, heard = link(replace(NOBODY, tls=Tls(cert_file=str(certificate), key_file=str(key))))
    text = f"mqtt.tls.key_file: the key in {key} does not belong to the certificate in {certificate}"
    assert heard.down("cert-file").text == text


def test_key_missing_in_the_certificate_file(link: MakeLink, authority: Authority) -> None:
    certificate, _ = authority.issue("one.example")
    _, heard = link(replace(NOBODY, tls=Tls(cert_file=str(certificate))))
    assert "do not hold a certificate and its key in PEM form" in heard.down("cert-file").text


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "two..dots", "nul\0"])
def test_no_such_host(link: MakeLink, host: str) -> None:
    _, heard = link(Mqtt(host=host))
    down = heard.next(LinkDown)
    assert down.reason in {"name-not-found", "no-name-server", "bad-host"}
    assert re.search(r"check mqtt\.host|set mqtt\.host|is the network up\?", down.text)


def test_something_that_is_no_broker(link: MakeLink) -> None:
    with TinyBroker({5: b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100), 4: connack(2)}) as tiny:
        _, heard = link(plain(tiny.port))
        assert heard.down("client-id").text.endswith("set mqtt.client_id")  # the answer to the second try, with 3.1.1


def test_something_that_takes_the_connection_and_stays_silent(link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CONNACK_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, heard = link(plain(silent.getsockname()[1]))
        assert "takes the connection and says nothing" in heard.down("no-answer").text


def test_something_that_stays_silent_in_the_tls_handshake(link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "HANDSHAKE_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, heard = link(Mqtt(host="127.0.0.1", port=silent.getsockname()[1]))
        assert "does not answer" in heard.down("timed-out").text


def test_a_broker_that_is_busy_and_then_not(link: MakeLink) -> None:
    with TinyBroker({5: connack(0x89, 5)}) as tiny:
        _, heard = link(plain(tiny.port))
        assert heard.down("broker-busy").text == f"127.0.0.1:{tiny.port} says that it is busy"
        tiny.answers[5] = connack(0, 5)
        assert heard.next(LinkUp)


def test_tries_count_up(link: MakeLink) -> None:
    _, heard = link(plain(free_port()))
    assert [heard.down("connection-refused").tries for _ in range(3)] == [1, 2, 3]
