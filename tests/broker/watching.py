"""Who looks on in the stories: what the link puts, and an independent client at the broker."""

import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from typing import Any, Protocol, TypeVar, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from broker.mosquitto import Authority
from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Stop
from stoker.link.link import Link

PATIENCE = 10.0  # seconds that a story waits for what has to happen

Event = Message | LinkUp | LinkDown | Notice | Stop
E = TypeVar("E", bound=Event)


class Heard:
    """Everything that a link puts, in order. The tests take from the front."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.all: list[Event] = []

    def put(self, event: Event) -> None:
        """What the link calls."""
        self.all.append(event)
        self._queue.put(event)

    def next(self, kind: type[E], timeout: float = PATIENCE) -> E:
        """The next event of this kind; what comes before it is passed over, but no unexpected Stop."""
        until = time.monotonic() + timeout
        while True:
            try:
                event = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind.__name__} within {timeout} s, only {self.all}") from None
            if isinstance(event, kind):
                return event
            assert not isinstance(event, Stop), event

    def down(self, reason: str, timeout: float = PATIENCE) -> LinkDown:
        """The next LinkDown, which has this reason."""
        event = self.next(LinkDown, timeout)
        assert event.reason == reason, event
        return event

    def notice(self, reason: str) -> Notice:
        """The next Notice, which has this reason."""
        event = self.next(Notice)
        assert event.reason == reason, event
        return event


class Broker(Protocol):
    """Where an observer can be: a Mosquitto, or a node of a cluster."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def users(self) -> Mapping[str, str]: ...
    @property
    def authority(self) -> Authority | None: ...
    @property
    def ca_file(self) -> Path: ...


class Observer:
    """A client of its own at the broker, on paho's own loop: it sees what others see."""

    protocol = paho.MQTTv5
    user = "observer"
    patience = PATIENCE

    def __init__(self, broker: Broker, *filters: str) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._filters = [(name, 1) for name in filters]
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=self.protocol)
        if broker.users:
            self._client.username_pw_set(self.user, broker.users[self.user])
        if broker.authority:
            self._client.tls_set_context(ssl.create_default_context(cafile=str(broker.ca_file)))
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_socket_open = lambda _client, _data, sock: cast(socket, sock).setsockopt(
            IPPROTO_TCP, TCP_NODELAY, 1
        )
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert not filters or self._subscribed.wait(self.patience)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        if self._filters:
            client.subscribe(self._filters)

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _packet: int, _codes: list[ReasonCode], _properties: object
    ) -> None:
        self._subscribed.set()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def say(
        self, topic: str, payload: bytes | str, *, retain: bool = False, qos: int = 1, **properties: object
    ) -> None:
        """Publish, and wait until the broker has it. `properties`: MQTT 5's, by their names."""
        packed: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(packed, name, value)
        info = self._client.publish(topic, payload, qos=qos, retain=retain, properties=packed)
        info.wait_for_publish(self.patience)
        assert info.is_published()

    def payloads(self, topic: str) -> list[bytes]:
        """What came on this topic so far."""
        with self._changed:
            return [cast(bytes, message.payload) for message in self.messages if message.topic == topic]

    def wait(self, topic: str, *expected: bytes) -> None:
        """Until exactly these payloads came on the topic, in this order."""
        self.wait_for(lambda: self.payloads(topic) == list(expected), f"{expected} on {topic}")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Until the condition holds."""
        with self._changed:
            if not self._changed.wait_for(condition, self.patience):
                seen = [(message.topic, message.payload) for message in self.messages]
                raise AssertionError(f"not {what} but {seen}")

    def lost(self) -> None:
        """Its broker is about to go."""
        self._subscribed.clear()

    def back(self) -> None:
        """Until it hears again."""
        assert self._subscribed.wait(PATIENCE)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


MakeLink = Callable[..., tuple[Link, Heard]]
MakeObserver = Callable[..., Observer]
