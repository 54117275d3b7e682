"""Who we are and whom we trust: the files that the configuration names, read anew for every try.

So a renewed certificate or password counts from the next try on, without a restart. Every way in which a file can be
wrong is a LinkError that names the file and the key.
"""

import os
import ssl
from pathlib import Path

from stoker.link.settings import File, Mqtt, Tls, is_header
from stoker.link.words import LinkError, unreadable

# systemd: LoadCredential=mqtt.password:/some/file
CREDENTIAL, KEY_CREDENTIAL, PROXY_CREDENTIAL = "mqtt.password", "mqtt.key", "mqtt.proxy"
LONGEST = 65535  # bytes of a password; MQTT's own limit


def password(settings: Mqtt) -> bytes | None:
    """The password, or None where there is none to send."""
    return secret("mqtt.password_file", settings.password_file, CREDENTIAL) if settings.username else None


def proxy_password(settings: Mqtt) -> bytes:
    """The proxy's password; empty where there is none."""
    return secret("mqtt.proxy_password_file", settings.proxy_password_file, PROXY_CREDENTIAL) or b""


def headers(settings: Mqtt) -> dict[str, str]:
    """The HTTP headers to add, those that stand in files read."""
    return {name: _header(name, value) for name, value in settings.websocket.headers.items()}


def _header(name: str, value: str | File) -> str:
    if isinstance(value, str):
        return value
    key = f"mqtt.websocket.headers.{name}"
    text = (secret(key, value.file) or b"").decode("latin-1")
    if not is_header(text):
        raise LinkError("password-file", f"{key}: {value.file} holds more than one line of text")
    return text


def secret(key: str, name: str, default: str = "") -> bytes | None:
    """What stands in this file, without the newline at its end. A relative `name` is a systemd credential.

    Without a name: the credential `default`, or None where there is none of that name.
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(credentials, name or default)
    if not name and not (credentials and path.exists()):
        return None
    if not path.is_absolute():
        hint = f"{key}: {path} would be a systemd credential, and there are none here: give a whole path"
        raise LinkError("password-file", hint)
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST + 1).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise unreadable("password-file", key, path, error) from None
    if not 0 < len(text) <= LONGEST:
        raise LinkError("password-file", f"{key}: {path} is {'too long' if text else 'empty'}")
    return text


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Verify the broker's certificate and name, TLS 1.2 or newer; show our certificate where there is one."""
    if tls.ca_file:
        _must_open("ca-file", "mqtt.tls.ca_file", tls.ca_file)
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
    except ssl.SSLError:
        raise LinkError("ca-file", f"mqtt.tls.ca_file: {tls.ca_file} holds no certificate in PEM form") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.insecure:
        believe_anybody(context)
    if tls.alpn:
        context.set_alpn_protocols([tls.alpn])
    if tls.cert_file:
        _show(context, tls)
    return context


def believe_anybody(context: ssl.SSLContext) -> None:
    """Verify nothing."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def _show(context: ssl.SSLContext, tls: Tls) -> None:
    _must_open("cert-file", "mqtt.tls.cert_file", tls.cert_file)
    if tls.key_file:
        _must_open("cert-file", "mqtt.tls.key_file", tls.key_file)
    key, asked = tls.key_file or tls.cert_file, False

    def key_password() -> bytes:
        nonlocal asked
        asked = True
        if (found := secret("mqtt.tls.key_password_file", tls.key_password_file, KEY_CREDENTIAL)) is None:
            text = f"mqtt.tls.key_file: {key} asks for a password: put it in a file, and name that in key_password_file"
            raise LinkError("cert-file", text)
        return found

    try:
        context.load_cert_chain(tls.cert_file, tls.key_file or None, password=key_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            text = f"mqtt.tls.key_file: the key in {key} does not belong to the certificate in {tls.cert_file}"
        elif asked:
            text = f"mqtt.tls.key_password_file: what stands there does not open the key in {key}"
        else:
            text = f"mqtt.tls.cert_file: {tls.cert_file} and {key} do not hold a certificate and its key in PEM form"
        raise LinkError("cert-file", text) from None
    except ValueError:  # OpenSSL takes no more than 1024 bytes
        raise LinkError(
            "cert-file", "mqtt.tls.key_password_file: what stands there is too long for a password"
        ) from None


def _must_open(reason: str, key: str, path: str) -> None:
    """Name the file that cannot be read: OpenSSL's own error does not."""
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise unreadable(reason, key, path, error) from None
