"""Who looks on at a node of a cluster: an observer that speaks MQTT 3.1.1 and asks again where the node refuses."""

import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from broker.watching import Observer

if TYPE_CHECKING:
    from broker.cluster.node import Node

USER = "shed"
ANSWER_WITHIN = 5.0  # seconds
PAUSE = 0.2  # seconds before a node is asked again


class Witness(Observer):
    """An observer with the patience that a cluster asks for."""

    protocol = paho.MQTTv311
    user = USER
    patience = 60.0

    def _on_subscribe(
        self, client: paho.Client, data: object, packet: int, codes: list[ReasonCode], properties: object
    ) -> None:
        if any(code.is_failure for code in codes):
            self._on_connect(client)
        else:
            super()._on_subscribe(client, data, packet, codes, properties)


def listens(node: "Node") -> bool:
    """Whether somebody takes TCP there. Where nobody does, TCP may happen to connect a socket with itself."""
    try:
        with socket.create_connection((node.host, node.port)) as sock:
            return bool(sock.getsockname() != sock.getpeername())
    except OSError:
        return False


def serves(node: "Node") -> bool:
    """Whether a client of this node can log in, subscribe and publish now. Else it takes a moment to say so."""
    if not listens(node):
        time.sleep(PAUSE)
        return False
    done = threading.Event()
    client = paho.Client(
        CallbackAPIVersion.VERSION2, f"probe-{node.name}", protocol=paho.MQTTv311, reconnect_on_failure=False
    )
    client.username_pw_set(USER, node.users[USER])
    client.tls_set_context(ssl.create_default_context(cafile=str(node.ca_file)))
    topic = f"probe/{node.name}"
    client.on_connect = cast(Any, lambda *_: client.subscribe(topic, 1))
    client.on_subscribe = cast(Any, lambda *_: client.publish(topic, qos=1))
    client.on_message = lambda *_: done.set()
    try:
        client.connect(node.host, node.port)
    except OSError:
        time.sleep(PAUSE)
        return False
    client.loop_start()
    served = done.wait(ANSWER_WITHIN)
    client.disconnect()
    client.loop_stop()
    return served
