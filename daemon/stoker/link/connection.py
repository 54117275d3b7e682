"""One connection: a paho client of its own on a socket of `dial.py`, from CONNECT to the end, used by one thread alone.

Rule: paho's callbacks only note what happened; the link looks at the notes after each `turn`. Everything that ends the
connection is a LinkError. A new client for each connection, so nothing of the last one is sent late: no order that a
broker kept (clean start, no session), and none of paho's own unacknowledged messages.
"""

import contextlib
import math
import select
import socket
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from time import monotonic
from typing import Any, Literal, NamedTuple, cast

from msgspec.structs import replace

from stoker.core.messages import Message, Notice, Publish
from stoker.link import words
from stoker.link.dial import Reached
from stoker.link.settings import Mqtt, ping_after
from stoker.link.waker import Wait
from stoker.link.websocket import FrameError
from stoker.link.without import without
from stoker.link.words import LinkError

with without("urllib.request"):  # HTTP and e-mail, for a proxy that `dial.py` goes through itself
    import paho.mqtt.client as paho
    from paho.mqtt import properties as paho_properties
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

_Properties: Any = paho_properties.Properties  # untyped

Version = Literal["5", "3.1.1"]

PATIENCE = 1.5  # keepalives that we may stand still ourselves before what lies in the socket is too old ...
LONGEST_PATIENCE = 45.0  # seconds; ... and never longer, so that no order is obeyed late
DOUBT = 5.0  # seconds without an answer; then what comes may have lain anywhere on the way
LONGEST_SLEEP = 30.0  # seconds, or a keepalive; a longer one would look like standing still
IN_FLIGHT = 20  # packets unacknowledged at once, in each direction
LARGEST_PAYLOAD = 64 * 1024  # bytes; nothing that is meant for us comes near it
LARGEST_PACKET = 128 * 1024  # bytes; MQTT 5 brokers keep larger ones to themselves
LARGEST_CORRELATION = 1024  # bytes
READING_EXPIRES_IN = 60  # seconds; it bears no time, so a broker is to keep it for nobody for longer (MQTT 5)
REMEMBERED = 100  # messages, to know one that comes again
PACKET_OVERHEAD = 64  # bytes of a PUBLISH beside topic, payload and what an answer needs, at most

# MQTT 5 reason codes; paho uses them for what it finds itself, too
_PROTOCOL_ERROR = 0x82
_UNSUPPORTED_VERSION = 0x84
_KEEPALIVE_TIMEOUT = 0x8D

_PING = 0  # stands among packet ids, which begin at 1


class Terms(NamedTuple):
    """What the broker takes of us: a will, messages that it is to retain, and the best quality of service."""

    will: bool = True
    retained: bool = True
    quality: int = 1


class Connection:
    """`open` it, then `turn` until it ends. `close` it in any case.

    How old is what arrives? Bytes may lie frozen on the way for as long as the line does not break. So questions are
    asked (pings, and publications, which are acknowledged) at least each `ping_after`, and what is read after an
    answer left the broker after that question was asked. While the answers come in time, what arrives is new: at most
    `lifetime` old. Where they do not (DOUBT), it counts as old as it can be.
    """

    def __init__(  # noqa: PLR0913 - all of it goes into one CONNECT
        self,
        settings: Mqtt,
        version: Version,
        *,
        client_id: str,
        will: tuple[str, bytes] | None,
        terms: Terms,
        lifetime: float,
        now: Callable[[], float],
    ) -> None:
        self.terms = terms  # once accepted, no more than the broker says
        self.accepted = False
        self.arrived: list[Message | Notice] = []
        self.acknowledged: list[tuple[int, int]] = []  # packet id, reason code
        self.subscribed: list[tuple[int, list[int]]] = []  # packet id, a reason code for each filter
        self.room = IN_FLIGHT
        self.largest = math.inf  # bytes of a packet that the broker takes
        self._settings = settings
        self._version: Version = version
        self._client_id = client_id
        self._now = now
        self._ping_after = math.inf  # seconds of silence; until CONNACK the caller keeps the time
        self._asked = 0.0
        self._lifetime = lifetime
        self._doubt = min(DOUBT, lifetime / 2)
        self._questions: dict[int, float] = {}  # packet id -> when it was asked, by `now`; the oldest first
        self._lived = 0.0  # by `now`: when the newest question was asked that has been answered
        self._looked = 0.0  # by `now`
        self._oversized = 0  # bytes of the packet that comes in now, where most of it is not kept
        self._taken: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)  # packet id, hash
        self._refusal: int | None = None
        self._goodbye: tuple[bool, int] | None = None  # said by the broker; its code, or paho's
        self._elsewhere = ""  # where the broker sends us
        self._error = _SwallowedError()
        self._client = self._new_client(will if terms.will else None)

    def _new_client(self, will: tuple[str, bytes] | None) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            protocol=paho.MQTTv5 if self._version == "5" else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages = IN_FLIGHT
        client.enable_logger(cast(Any, self._error))
        client.on_socket_register_write = _later
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        if will:
            client.will_set(*will, qos=self.terms.quality, retain=self.terms.retained)
        return client

    # --- what the link does -------------------------------------------------------------------------------------------

    def open(self, reached: Reached) -> None:
        """Send CONNECT in the next `turn` on this way to the broker, which is ours to close from now on."""
        client: Any = self._client  # paho's types here are in part unknown, in part too narrow: a password may be bytes
        client._create_socket = lambda: reached.sock  # paho's own knows less of proxies, of WebSockets and of errors
        if self._settings.username:
            client.username_pw_set(self._settings.username, reached.password)
        client.connect(*self._settings.address, int(self._settings.keepalive), **_connect_options(self._version))
        self._looked = self._lived = self._now()

    def turn(self, until: float, reading: bool = True) -> Generator[Wait, int]:
        """Send what is to be sent, wait until time.monotonic() is `until` or bytes come, and read.

        Without `reading`, what comes in stays in TCP.
        """
        if self.accepted:
            self._write()
        sock = self._socket()
        pending = reading and getattr(sock, "pending", int)() > 0  # taken from TCP already: poll would not see it
        until = min(until, self._ping_due, monotonic() + min(LONGEST_SLEEP, self._settings.keepalive))
        wanted = (select.POLLIN if reading else 0) | (select.POLLOUT if self._client.want_write() else 0)
        events = yield Wait(0.0 if pending else until, sock, wanted)
        self._must_be_awake()
        if pending or events & ~select.POLLOUT:
            self._read()
        if events & select.POLLOUT:
            self._write()
        if monotonic() >= self._ping_due:
            self._ping()
        self._socket()
        self._looked = self._now()

    def publish(self, publish: Publish) -> int:
        """Send it in the next `turn`; the packet id that will come back in `acknowledged`; with QoS 0 when sent."""
        properties = _publish_properties(publish) if self._version == "5" else None
        retain, qos = publish.kind == "state" and self.terms.retained, self.terms.quality
        asked = self._now()
        info = self._client.publish(publish.topic, publish.payload, qos=qos, retain=retain, properties=properties)
        if qos:  # only then it is answered
            self._questions[info.mid], self._asked = asked, monotonic()
        return info.mid

    def fits(self, publish: Publish) -> bool:
        """Whether the broker takes a packet of this size."""
        if self.largest == math.inf:
            return True
        texts = (publish.topic.encode(), publish.payload, publish.reply_to.encode(), publish.correlation)
        return sum(map(len, texts)) + PACKET_OVERHEAD <= self.largest

    def subscribe(self, names: Sequence[str], quality: int) -> int:
        """Ask for these topic filters in the next `turn`; the packet id that will come back in `subscribed`."""
        _, packet = self._client.subscribe([(name, quality) for name in names])
        if packet is None:
            raise self._ended()
        return packet

    def unsubscribe(self, names: Sequence[str]) -> None:
        """End these subscriptions in the next `turn`."""
        self._client.unsubscribe(list(names))

    def goodbye(self, until: float) -> Generator[Wait, int]:
        """Send DISCONNECT, so that the broker forgets the will."""
        self._client.disconnect()
        with contextlib.suppress(LinkError):  # paho closes the socket as soon as it is sent
            while monotonic() < until:
                yield from self.turn(until, reading=False)

    def close(self) -> None:
        """Let the socket go, without a word where `goodbye` did not come first."""
        if (sock := self._client.socket()) is not None:
            sock.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _ping_due(self) -> float:
        return self._asked + self._ping_after

    def _ping(self) -> None:
        """Ask whether the line lives; one that left the last such question open is given up."""
        self._questions.setdefault(_PING, self._now())
        cast(Any, self._client)._last_msg_out = -math.inf  # paho forgets to ask while we acknowledge what comes in
        self._client.loop_misc()
        self._asked = monotonic()

    def _answered(self, packet: int) -> None:
        self._lived = max(self._lived, self._questions.pop(packet, -math.inf))

    def _look_for_pong(self) -> None:
        if not cast(Any, self._client)._ping_t:
            self._answered(_PING)

    def _left(self) -> float:
        """When, by `now`, what arrives now left the broker; where that is in doubt, when it did at the earliest."""
        now = self._now()
        unanswered = min([self._lived + self._ping_after, *self._questions.values()])
        return self._lived if now - unanswered > self._doubt else now

    def _socket(self) -> socket.socket:
        sock = self._client.socket()
        if sock is None:
            raise self._ended()
        return cast(socket.socket, sock)

    def _must_be_awake(self) -> None:
        """Give the line up where we stood still (suspended, stopped): nobody knows how old what it brings is."""
        stood = self._now() - self._looked
        if stood > min(PATIENCE * self._settings.keepalive, LONGEST_PATIENCE):
            self.arrived.clear()
            text = f"this program stood still for {stood:.0f} s: what came meanwhile is too old to be obeyed"
            raise LinkError("stood-still", text)

    def _read(self) -> None:
        try:
            self._client.loop_read()
            self._look_for_pong()
            self._cut()
        except Exception:  # paho 2.1 lets its parser's errors out, of any type; callbacks of ours only note
            self._goodbye = False, _PROTOCOL_ERROR
            raise self._ended() from None
        self._must_be_awake()

    def _cut(self) -> None:
        """Keep the beginning of a packet that is too large: enough to acknowledge it and to tell of it.

        Brokers of 3.1.1 know no LARGEST_PACKET, and paho gathers as much as 256 MB.
        """
        coming: dict[str, Any] = cast(Any, self._client)._in_packet
        if len(coming["packet"]) > LARGEST_PACKET:
            self._oversized = coming["remaining_length"]
            del coming["packet"][LARGEST_PACKET:]
        elif not coming["packet"]:
            self._oversized = 0

    def _write(self) -> None:
        if self._client.want_write():
            self._gather()
            self._client.loop_write()

    def _gather(self) -> None:
        """Make one packet of those that paho would write one by one, and after which it does nothing else.

        Each write is a TLS record, and lets another thread run.
        """
        waiting: deque[dict[str, Any]] = cast(Any, self._client)._out_packet
        together = list(takewhile(_only_written, waiting))
        if len(together) > 1:
            first, data = together[0], b"".join(bytes(one["packet"][one["pos"] :]) for one in together)
            first |= {"packet": data, "pos": 0, "to_process": len(data)}
            for _ in together[1:]:
                del waiting[1]

    def _ended(self) -> LinkError:
        """Why paho has no socket any more."""
        settings, broker = self._settings, words.place(self._settings)
        by_broker, code = self._goodbye or (False, 0)
        error = self._error.first
        if self._refusal is None and code == _PROTOCOL_ERROR and not self.accepted:
            self._refusal = _UNSUPPORTED_VERSION  # paho's answer to a CONNACK that is none
        if self._refusal is not None:
            failure = words.connack(self._refusal, settings, self._version, self._elsewhere)
        elif by_broker:
            failure = words.disconnect(code, settings, self._client_id, self._elsewhere)
        elif code == _KEEPALIVE_TIMEOUT:
            failure = LinkError("keepalive", f"{broker} has fallen silent: no answer to a ping")
        elif code == _PROTOCOL_ERROR:
            failure = LinkError("malformed", f"{broker} sent no proper MQTT")
        elif isinstance(error, FrameError):
            failure = LinkError("malformed", f"{broker} sent no proper WebSocket: {error}")
        elif error is not None and (self.accepted or hasattr(error, "library")):
            failure = words.explain(error, settings)
        elif not self.accepted:
            failure = words.closed_early(settings, self._version)
        else:
            failure = LinkError("closed", f"{broker} closed the connection")
        return failure

    # --- paho's callbacks: notes, nothing else ------------------------------------------------------------------------

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, properties: object
    ) -> None:
        if reason.is_failure:
            self._refusal = reason.value
            self._elsewhere = getattr(properties, "ServerReference", "")
            return
        self.accepted = True
        self.room = min(IN_FLIGHT, getattr(properties, "ReceiveMaximum", IN_FLIGHT))
        self.largest = getattr(properties, "MaximumPacketSize", math.inf)
        retained = self.terms.retained and bool(getattr(properties, "RetainAvailable", 1))
        quality = min(self.terms.quality, getattr(properties, "MaximumQoS", 1))
        self.terms = self.terms._replace(retained=retained, quality=quality)
        keepalive = self._settings.keepalive
        keepalive = min(keepalive, getattr(properties, "ServerKeepAlive", 0) or keepalive)
        self._ping_after = ping_after(keepalive, self._lifetime)
        # paho cannot ping more often than the keepalive it announced, and takes a broker's 0 as never
        cast(Any, client)._keepalive = self._ping_after
        self._asked = monotonic()

    def _on_disconnect(
        self, _client: paho.Client, _data: object, flags: paho.DisconnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        self._goodbye = self._goodbye or (flags.is_disconnect_packet_from_server, reason.value)
        self._elsewhere = self._elsewhere or getattr(properties, "ServerReference", "")

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._look_for_pong()  # which came before this
        incoming = _incoming(message, self._left(), self._oversized)
        self._oversized = 0
        if isinstance(incoming, Message) and message.qos:
            which = message.mid, hash((incoming.topic, incoming.payload))
            if message.dup and which in self._taken:
                incoming = replace(incoming, duplicate=True)
            else:
                self._taken.append(which)
        self.arrived.append(incoming)

    def _on_publish(
        self, _client: paho.Client, _data: object, packet: int, reason: ReasonCode, _properties: object
    ) -> None:
        self._answered(packet)
        self.acknowledged.append((packet, reason.value))

    def _on_subscribe(
        self, _client: paho.Client, _data: object, packet: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        self.subscribed.append((packet, [reason.value for reason in reasons]))


def _only_written(packet: Mapping[str, Any]) -> bool:
    """An acknowledgement, or a publication that will be acknowledged."""
    kind, quality = int(packet["command"]) & 0xF0, int(packet["qos"])
    return kind == paho.PUBACK or (kind == paho.PUBLISH and quality > 0)


def _later(_client: object, _data: object, _sock: object) -> None:
    """Makes paho leave the writing to `turn`, where what a broker says before it hangs up is read first."""


class _SwallowedError:
    """Stands in for paho's logger: paho logs the error that broke the line, and tells it in no other way."""

    first: OSError | None = None

    def log(self, _level: int, _text: str, *arguments: object) -> None:
        if self.first is None and arguments and isinstance(arguments[-1], OSError):
            self.first = arguments[-1]


def _connect_options(version: Version) -> dict[str, Any]:
    if version != "5":
        return {}  # a clean session is paho's default
    properties = _Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = IN_FLIGHT
    properties.MaximumPacketSize = LARGEST_PACKET
    return {"clean_start": True, "properties": properties}


def _publish_properties(publish: Publish) -> Any:
    expires_in = publish.expires_in or (READING_EXPIRES_IN if publish.kind == "reading" else 0)
    if not (publish.correlation or publish.reply_to):
        return _expiring(expires_in) if expires_in else None
    properties = _Properties(PacketTypes.PUBLISH)
    if publish.correlation:
        properties.CorrelationData = publish.correlation
    if publish.reply_to:
        properties.ResponseTopic = publish.reply_to
    if expires_in:
        properties.MessageExpiryInterval = expires_in
    return properties


@lru_cache(maxsize=1)
def _expiring(seconds: int) -> Any:
    """A reading's, each time the same: paho's take long to make."""
    properties = _Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = seconds
    return properties


def _incoming(message: paho.MQTTMessage, at: float, oversized: int) -> Message | Notice:
    try:
        topic = message.topic
    except UnicodeDecodeError:
        return Notice("malformed", "a message came on a topic that is not UTF-8: dropped")
    correlation = bytes(getattr(message.properties, "CorrelationData", b""))
    for what, size, most in (
        ("message", oversized or len(message.payload), LARGEST_PAYLOAD),
        ("correlation", len(correlation), LARGEST_CORRELATION),
    ):
        if size > most:
            return Notice("too-large", f"a {what} of {size} bytes came on {topic}: dropped, the most is {most}")
    expiry = getattr(message.properties, "MessageExpiryInterval", None)
    return Message(
        topic,
        bytes(message.payload),
        at,
        retained=bool(message.retain),
        expires_in=None if expiry is None else float(expiry),
        reply_to=getattr(message.properties, "ResponseTopic", ""),
        correlation=correlation,
    )
