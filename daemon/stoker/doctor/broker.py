"""The broker, step by step: its name, the way to it, its certificate, the login, the topics, the round trip."""

import secrets
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing

from stoker.cli.client import Client
from stoker.config import Config
from stoker.core import topics
from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Publish
from stoker.doctor import Finding, Verdict
from stoker.inbox import monotonic
from stoker.link import words
from stoker.link.dial import Dial
from stoker.link.settings import Mqtt
from stoker.link.waker import Wait, Waker
from stoker.link.words import LinkError

WITHIN = 20.0  # seconds for each step
SOON = 30 * 86400  # seconds before a certificate expires


def examine(config: Config) -> Iterator[Finding]:
    """Each broker as far as one gets; then what this device may do on the one that takes it."""
    reached = [finding for mqtt in config.mqtt.brokers for finding in way(mqtt)]
    yield from reached
    if any(finding.verdict is Verdict.GOOD and finding.what.startswith("way to") for finding in reached):
        yield from login(config)


def way(mqtt: Mqtt) -> Iterator[Finding]:
    """The name, TCP, TLS and the certificate's dates."""
    host, port = mqtt.address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if not mqtt.proxy:  # which looks the name up itself
            remedy = "check the name, and /etc/resolv.conf"
            yield Finding(f"name {host}", Verdict.BAD, f"cannot be looked up: {error}", remedy)
            return
    else:
        yield Finding(f"name {host}", Verdict.GOOD, ", ".join(sorted({str(place[4][0]) for place in found})))
    with closing(Waker()) as waker:
        dial, until = Dial(mqtt, waker.set), time.monotonic() + WITHIN
        dial.start()
        while not dial.done and time.monotonic() < until:
            waker.sleep(Wait(until))
        what = f"way to {words.place(mqtt)}"
        if not dial.done:
            yield Finding(what, Verdict.BAD, f"{dial.step} hangs for {WITHIN:g} s", "is a firewall between?")
            dial.give_up()
            return
        try:
            reached = dial.reached()
        except LinkError as failure:
            yield Finding(what, Verdict.BAD, failure.text)
            return
        with closing(reached.sock):
            yield Finding(what, Verdict.GOOD, "open")
            if isinstance(reached.sock, ssl.SSLSocket):
                yield certificate(mqtt, reached.sock)


def certificate(mqtt: Mqtt, sock: ssl.SSLSocket) -> Finding:
    """Until when the broker's is good."""
    what, shown = f"certificate of {mqtt.address[0]}", sock.getpeercert() or {}
    if not isinstance(until := shown.get("notAfter"), str):
        return Finding(what, Verdict.DOUBTFUL, "was not verified", "remove mqtt.tls.insecure")
    left = ssl.cert_time_to_seconds(until) - time.time()
    text = f"{sock.version()}, verified, good until {until}"
    if left < SOON:
        return Finding(what, Verdict.DOUBTFUL, f"{text}: {left / 86400:.0f} days", "see that it is renewed in time")
    return Finding(what, Verdict.GOOD, text)


def login(config: Config) -> Iterator[Finding]:
    """Whether we are let in, what we may subscribe to, and how long a word takes there and back."""
    base = topics.Routes(config.core).availability.rpartition("/")[0]
    own = f"{base}/doctor/{secrets.token_hex(4)}"
    wanted = [*topics.Routes(config.core).orders, own]
    refused: list[str] = []
    with Client(config, wanted) as client:
        up: LinkUp | None = None
        for event in client.hear(monotonic() + WITHIN):
            match event:
                case LinkUp():
                    up = event
                    break
                case LinkDown(text=text):
                    yield Finding("login", Verdict.BAD, text)
                    return
                case Notice(reason="subscription-refused", text=text):
                    refused.append(text)
                case _:
                    pass
        if up is None:
            yield Finding("login", Verdict.BAD, refused[0] if refused else f"no answer within {WITHIN:g} s")
            return
        yield Finding("login", Verdict.GOOD, f"{up.broker} takes us, MQTT {up.protocol}")
        for text in refused:
            yield Finding("subscriptions", Verdict.BAD, text, "give this user the right to it at the broker")
        if not refused:
            yield Finding("subscriptions", Verdict.GOOD, f"all {len(wanted)} stand")
        yield round_trip(client, own)


def round_trip(client: Client, topic: str) -> Finding:
    """From us to the broker and back."""
    what, began = "round trip", monotonic()
    client.publish(Publish(topic, b"?", "answer"))
    for event in client.hear(began + WITHIN):
        match event:
            case Message(topic=heard) if heard == topic:
                return Finding(what, Verdict.GOOD, f"{(monotonic() - began) * 1000:.1f} ms there and back")
            case Notice(text=text) | LinkDown(text=text):
                return Finding(what, Verdict.DOUBTFUL, text, "give this user the right to publish at the broker")
            case _:
                pass
    return Finding(what, Verdict.DOUBTFUL, f"nothing came back within {WITHIN:g} s")
