"""Through a proxy: SOCKS 5 (RFC 1928, 1929) or HTTP CONNECT (RFC 9110, 9.3.6). The proxy looks the name up."""

import socket
from base64 import b64encode
from time import monotonic

from stoker.link import http
from stoker.link.settings import Proxy
from stoker.link.words import LinkError

REFUSED = {  # RFC 1928, 6
    2: "its rules forbid it",
    3: "it has no way to that network",
    4: "it has no way to that host, or does not know its name",
    5: "nothing listens there",
    6: "the way is too long",
}


def through(sock: socket.socket, proxy: Proxy, password: bytes, target: tuple[str, int], until: float) -> None:
    """Ask the proxy at the other end of this socket for a way to `target`. Raises LinkError, OSError."""
    if proxy.scheme == "http":
        _http(sock, proxy, password, target, until)
    else:
        _socks5(sock, proxy, password, target, until)


def _http(sock: socket.socket, proxy: Proxy, password: bytes, target: tuple[str, int], until: float) -> None:
    host, port = target
    place = http.authority(host, port)
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.user:
        lines.append(f"Proxy-Authorization: Basic {b64encode(proxy.user.encode() + b':' + password).decode()}")
    answer = http.ask(sock, lines, until)
    if answer.status == 407:
        raise _login(proxy)
    if not answer.status:
        raise LinkError("proxy", f"{_named(proxy)} does not speak HTTP: check mqtt.proxy")
    if not 200 <= answer.status < 300:
        raise LinkError("proxy", f"{_named(proxy)} opens no way to {place}: HTTP {answer.reason}")


def _socks5(sock: socket.socket, proxy: Proxy, password: bytes, target: tuple[str, int], until: float) -> None:
    method = 2 if proxy.user else 0
    _send(sock, bytes([5, 1, method]), until)
    version, chosen = _receive(sock, 2, proxy, until)
    if version != 5:
        raise LinkError("proxy", f"{_named(proxy)} does not speak SOCKS 5: check mqtt.proxy")
    if chosen != method:
        raise _login(proxy)
    if method:
        user = proxy.user.encode()
        if len(user) > 255 or len(password) > 255:
            raise LinkError("proxy-login", "SOCKS 5 takes a user and a password of up to 255 bytes: check mqtt.proxy")
        _send(sock, bytes([1, len(user)]) + user + bytes([len(password)]) + password, until)
        if _receive(sock, 2, proxy, until)[1]:
            raise _login(proxy)
    host, port = target
    _send(sock, b"\5\1\0" + _address(host) + port.to_bytes(2), until)
    _, code, _, kind = _receive(sock, 4, proxy, until)
    if code:
        why = REFUSED.get(code, f"SOCKS code {code}")
        raise LinkError("proxy", f"{_named(proxy)} opens no way to {host}:{port}: {why}")
    size = {1: 4, 4: 16}.get(kind) or _receive(sock, 1, proxy, until)[0]
    _receive(sock, size + 2, proxy, until)  # the address at its other side, of which nobody needs to know


def _address(host: str) -> bytes:
    for kind, family in ((1, socket.AF_INET), (4, socket.AF_INET6)):
        try:
            return bytes([kind]) + socket.inet_pton(family, host)
        except OSError:
            continue
    name = http.idna(host)
    return bytes([3, len(name)]) + name


def _send(sock: socket.socket, data: bytes, until: float) -> None:
    sock.settimeout(max(0.1, until - monotonic()))
    sock.sendall(data)


def _receive(sock: socket.socket, size: int, proxy: Proxy, until: float) -> bytes:
    data = b""
    while len(data) < size:
        sock.settimeout(max(0.1, until - monotonic()))
        if not (chunk := sock.recv(size - len(data))) or monotonic() > until:
            raise LinkError("proxy", f"{_named(proxy)} hung up: is it a SOCKS 5 proxy? (mqtt.proxy)")
        data += chunk
    return data


def _login(proxy: Proxy) -> LinkError:
    who = f"user {proxy.user!r}" if proxy.user else "us without a user"
    return LinkError("proxy-login", f"{_named(proxy)} refused {who}: check mqtt.proxy and mqtt.proxy_password_file")


def _named(proxy: Proxy) -> str:
    return f"the proxy {f'[{proxy.host}]' if ':' in proxy.host else proxy.host}:{proxy.port}"
