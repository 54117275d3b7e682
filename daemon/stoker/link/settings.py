"""What the link is told: the tables [mqtt] and [mqtt.tls]."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stoker.core.settings import Seconds

LONGEST = 16000  # characters; what MQTT carries is 65535 bytes, and a character is up to four
PLAIN = "^[^\\x00]*$"  # MQTT allows no NUL


class Tls(Struct, frozen=True, kw_only=True):
    """TLS is on unless somebody switches it off; the broker's certificate and name are always verified."""

    enabled: Annotated[bool, Meta(description="false only on a network that nobody else can reach")] = True
    ca_file: Annotated[str, Meta(description="CA that signed the broker's certificate; empty: the system's")] = ""
    cert_file: Annotated[str, Meta(description="client certificate, where the broker asks for one")] = ""
    key_file: Annotated[str, Meta(description="its private key; empty: in cert_file")] = ""


class Mqtt(Struct, frozen=True, kw_only=True):
    """Where the broker is and who we are."""

    host: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=r"^(?:[^\s/:]+|[0-9a-fA-F:.]+(?:%\w+)?)\Z",  # a name or IPv4; IPv6, perhaps with its interface
            description="the broker's name or address, without mqtts:// and port",
        ),
    ]
    port: Annotated[int, Meta(ge=0, le=65535, description="0: 8883 with TLS, 1883 without")] = 0
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
    tls: Tls = Tls()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the default port filled in."""
        return self.host, self.port or (8883 if self.tls.enabled else 1883)


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
