"""Through a SOCKS 5 or an HTTP proxy: it looks up the broker's name, and TLS goes through it untouched."""

import socket
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from broker.detour import Detour
from broker.mosquitto import Authority, MakeBroker, Mosquitto, free_port
from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink
from stoker.core.messages import LinkUp, Message, Publish
from stoker.link.settings import Mqtt, Tls


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_to_a_broker_whose_name_only_the_proxy_knows(
    mosquitto: MakeBroker, authority: Authority, link: MakeLink, scheme: str
) -> None:
    broker = mosquitto(authority=authority, certificate=authority.issue("broker.example")).start()
    with Detour(names={"broker.example": "127.0.0.1"}) as detour:
        line, heard = link(
            broker.settings(host="broker.example", proxy=f"{scheme}://127.0.0.1:{detour.port}"), "orders"
        )
        heard.next(LinkUp)
        line.publish(Publish("orders", b"21", "event"))
        assert heard.next(Message).payload == b"21"
        assert detour.asked == [("broker.example", broker.port)]


@pytest.mark.parametrize("scheme", ["socks5", "http"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_to_an_address(link: MakeLink, scheme: str, host: str) -> None:
    with (
        TinyBroker({5: connack(0, 5)}) as tiny,
        Detour(names={"::1": "127.0.0.1"}) as detour,
    ):
        _, heard = link(plain(tiny.port, host=host, proxy=f"{scheme}://localhost:{detour.port}"))
        heard.next(LinkUp)
        assert detour.asked == [(host, tiny.port)]


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_with_a_login_from_a_file_or_a_credential(
    link: MakeLink, tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt.proxy").write_text("hunter2\n")
    with TinyBroker({5: connack(0, 5)}) as tiny, Detour(login=("shed", "hunter2")) as detour:
        settings = plain(tiny.port, proxy=f"{scheme}://shed@127.0.0.1:{detour.port}")
        _, heard = link(replace(settings, proxy_password_file=str(tmp_path / "mqtt.proxy")))
        heard.next(LinkUp)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        _, other = link(settings)
        other.next(LinkUp)


@pytest.mark.parametrize("scheme", ["socks5", "http"])
@pytest.mark.parametrize(("user", "who"), [("shed@", "user 'shed'"), ("", "us without a user")])
def test_a_login_that_is_refused(link: MakeLink, tmp_path: Path, scheme: str, user: str, who: str) -> None:
    (tmp_path / "password").write_text("guessed")
    with Detour(login=("shed", "hunter2")) as detour:
        proxy = f"{scheme}://{user}127.0.0.1:{detour.port}"
        _, heard = link(plain(9, proxy=proxy, proxy_password_file=str(tmp_path / "password")))
        down = heard.down("proxy-login")
    where = f"the proxy 127.0.0.1:{detour.port}"
    assert down.text == f"{where} refused {who}: check mqtt.proxy and mqtt.proxy_password_file"


@pytest.mark.parametrize(
    ("scheme", "answer", "text"),
    [
        ("socks5", b"\5\5\0\1\0\0\0\0\0\0", "opens no way to broker.example:8883: nothing listens there"),
        ("socks5", b"\5\4\0\1\0\0\0\0\0\0", "it has no way to that host, or does not know its name"),
        ("socks5", b"\5\x63\0\1\0\0\0\0\0\0", "opens no way to broker.example:8883: SOCKS code 99"),
        ("socks5", b"", "hung up: is it a SOCKS 5 proxy? (mqtt.proxy)"),
        ("http", b"HTTP/1.1 403 Forbidden\r\n\r\n", "opens no way to broker.example:8883: HTTP 403 Forbidden"),
        ("http", b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP: check mqtt.proxy"),
        ("http", b"", "does not speak HTTP: check mqtt.proxy"),
    ],
)
def test_a_proxy_that_opens_no_way(link: MakeLink, scheme: str, answer: bytes, text: str) -> None:
    with Detour(answer=answer) as detour:
        where = f"127.0.0.1:{detour.port}"
        _, heard = link(Mqtt(host="broker.example", proxy=f"{scheme}://{where}"))
        down = heard.down("proxy")
    assert down.text.startswith(f"the proxy {where} ")
    assert text in down.text


def test_something_that_is_no_socks_proxy(link: MakeLink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        _, heard = link(plain(9, proxy=f"socks5://{where}"))
        assert heard.down("proxy").text == f"the proxy {where} does not speak SOCKS 5: check mqtt.proxy"


def _greet(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock:
        sock.sendall(b"SSH-2.0-OpenSSH\r\n")


def test_no_proxy_there(link: MakeLink) -> None:
    where = f"127.0.0.1:{free_port()}"
    _, heard = link(Mqtt(host="broker.example", proxy=f"http://{where}"))
    text = heard.down("proxy").text
    assert text == f"no way through the proxy {where} (Connection refused): check mqtt.proxy"


def test_a_proxy_that_says_nothing(link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.link.dial.HANDSHAKE_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        _, heard = link(Mqtt(host="broker.example", proxy=f"socks5://{where}"))
        assert heard.down("proxy").text == f"no way through the proxy {where} (timed out): check mqtt.proxy"


def test_what_is_wrong_with_a_certificate_is_seen_through_a_proxy_too(broker: Mosquitto, link: MakeLink) -> None:
    with Detour(names={"broker.example": "127.0.0.1"}) as detour:
        tls = Tls(ca_file=str(broker.ca_file))
        _, heard = link(broker.settings(host="broker.example", tls=tls, proxy=f"socks5://127.0.0.1:{detour.port}"))
        text = heard.down("wrong-name").text
        assert text.endswith("is for 127.0.0.1, localhost, not for broker.example: check mqtt.host")
