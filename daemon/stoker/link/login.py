"""Who we are and whom we trust: the files that the configuration names, read anew for every try.

So a renewed certificate or password counts from the next try on, without a restart. Every way in which a file can be
wrong is a LinkError that names the file and the key.
"""

import contextlib
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from stoker.link.settings import Mqtt, Tls
from stoker.link.words import LinkError, unreadable

CREDENTIAL = "mqtt.password"  # systemd: LoadCredential=mqtt.password:/some/file
PASSWORD_BYTES = 65535  # MQTT's own limit

HANDSHAKE_TIMEOUT = 10.0  # seconds
LOOK_WITHIN = 5.0  # seconds
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME (openssl, x509_vfy.h)


def password(settings: Mqtt) -> bytes | None:
    """The password, or None where there is none to send. A newline at its end is not part of it."""
    path = _password_file(settings)
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            text = file.read(PASSWORD_BYTES + 1).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise unreadable("password-file", "mqtt.password_file", path, error) from None
    if not 0 < len(text) <= PASSWORD_BYTES:
        raise LinkError("password-file", f"mqtt.password_file: {path} is {'too long' if text else 'empty'}")
    return text


def _password_file(settings: Mqtt) -> Path | None:
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if not settings.username:
        return None
    if not settings.password_file:
        default = Path(credentials, CREDENTIAL) if credentials else None
        return default if default and default.exists() else None
    path = Path(credentials or "", settings.password_file)
    if not path.is_absolute():
        text = f"mqtt.password_file: {path} would be a systemd credential, and there are none here: give a whole path"
        raise LinkError("password-file", text)
    return path


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Verify the broker's certificate and name, TLS 1.2 or newer; show our certificate where there is one."""
    if tls.ca_file:
        _must_open("ca-file", "mqtt.tls.ca_file", tls.ca_file)
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
    except ssl.SSLError:
        raise LinkError("ca-file", f"mqtt.tls.ca_file: {tls.ca_file} holds no certificate in PEM form") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _Socket
    if tls.cert_file:
        _show(context, tls)
    return context


def _show(context: ssl.SSLContext, tls: Tls) -> None:
    _must_open("cert-file", "mqtt.tls.cert_file", tls.cert_file)
    if tls.key_file:
        _must_open("cert-file", "mqtt.tls.key_file", tls.key_file)
    key = tls.key_file or tls.cert_file
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file or None, password=lambda: _no_passphrase(key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"mqtt.tls.key_file: the key in {key} does not belong to the certificate in {tls.cert_file}"
        else:
            text = f"mqtt.tls.cert_file: {tls.cert_file} and {key} do not hold a certificate and its key in PEM form"
        raise LinkError("cert-file", text) from None


def _no_passphrase(key: str) -> NoReturn:
    raise LinkError("cert-file", f"mqtt.tls.key_file: {key} asks for a passphrase: store the key without one")


def _must_open(reason: str, key: str, path: str) -> None:
    """Name the file that cannot be read: OpenSSL's own error does not."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise unreadable(reason, key, path, error) from None


class _Socket(ssl.SSLSocket):
    """Gives the handshake its time, and is closed after a failed one: paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(HANDSHAKE_TIMEOUT)
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def shown_certificate(settings: Mqtt) -> Mapping[str, Any]:
    """Fetch the broker's certificate to tell a person what is wrong with its name or its dates.

    The chain is verified still, but neither name nor time; nothing is said over this connection. Empty where it fails.
    """
    context = tls_context(settings.tls)
    context.check_hostname = False
    context.verify_flags = ssl.VerifyFlags(context.verify_flags | _NO_CHECK_TIME)
    with (
        contextlib.suppress(OSError),
        socket.create_connection(settings.address, timeout=LOOK_WITHIN) as tcp,
        context.wrap_socket(tcp, server_hostname=settings.host) as tls,
    ):
        return tls.getpeercert() or {}
    return {}
