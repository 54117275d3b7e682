"""The line to the broker, which it never gives up on.

Rule: all that comes in leaves through one `put`. For ever: connect, subscribe, serve, and after any failure a random
pause (`backoff.py`). It never waits: it goes on, step by step, in the thread of who waits for it (the daemon's one
queue, so an order crosses no thread on its way in or out), and tells what for: bytes, something to say, a time.
"""

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Generator, Sequence
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Publish, Stop
from stoker.core.settings import ORDER_LIFETIME
from stoker.link import words
from stoker.link.backoff import LASTED, Pace, Turns
from stoker.link.connection import PACKET_OVERHEAD, Connection, Terms, Version
from stoker.link.counters import Counters, Figures
from stoker.link.dial import Dial, Reached
from stoker.link.outbox import Outbox, forget
from stoker.link.settings import Mqtt
from stoker.link.subscriptions import REFUSED, Subscriptions
from stoker.link.waker import Wait, Waker
from stoker.link.wellformed import is_filter, is_topic
from stoker.link.words import LinkError

if TYPE_CHECKING:
    from stoker.backlog import Backlog  # and SQLite with it, which only the daemon needs

DIAL_WITHIN = 60.0  # seconds for files, name server, TCP and TLS; then they hang
MOST_HANGING = 3  # threads that are left behind so for each broker; then no other is risked until one of them ends ...
HANGING_ENDS = 3600.0  # seconds; ... and where none does, a fresh process is all that is left to try
CONNACK_WITHIN = 10.0  # seconds after TCP and TLS stand
FOR_NOW = frozenset({0x80, 0x97})  # of a PUBACK: an unspecified error, a quota; it may be gone in a minute
FILTERS_AT_ONCE = 8  # in one SUBSCRIBE; AWS IoT Core hangs up on more
STAND_WITHIN = 30.0  # seconds that we are not online, because the broker refuses a subscription
ACKNOWLEDGED_WITHIN = 30.0  # seconds, or a keepalive if that is shorter
MOST_REFUSED = 100  # topics that are told of; where answers go, each may be another
PAST_PAUSE = 1.0  # seconds between two messages of the past, which live ones always overtake
PAST_REFUSED_PAUSE = 60.0  # seconds until a message of the past that the broker refused is tried again
GOODBYE_SHARE = 0.8  # of the time that `leave` allows goes to what is still to be said, the rest to DISCONNECT

OTHER_VERSION = frozenset({"protocol", "closed-early"})
"""Failures after which the other version of MQTT is tried at once."""

SILENT_ABOUT_WILL = (
    Terms(retained=False),
    Terms(quality=0),
    Terms(retained=False, quality=0),
    Terms(will=False),
)
"""With what a broker may accept us that hangs up on our will without a word, as is the only way in MQTT 3.1.1."""
GUESS_EACH = 10  # tries; what hangs up is seldom such a broker
GUESS_WITHIN = 2.0  # seconds; nor is one that thinks before (a cluster without a leader)

log = logging.getLogger("stoker.link")

Done = TypeVar("Done")
Steps = Generator[Wait, int, Done]
"""Work that waits by yielding what for, and is told the events that came."""


def nobody() -> None:
    """Nobody sleeps here."""


class Link:
    """Make it, and have it attended: `begin`, then `go_on` each time that what it waits for has come, then `leave`.

    Or `start` it in a thread of its own, and `close` it. Every other method is for any thread.
    """

    def __init__(  # noqa: PLR0913 - what is optional is named
        self,
        settings: Mqtt,
        put: Callable[[Message | LinkUp | LinkDown | Notice | Stop], None],
        *,
        client_id: str,
        subscriptions: Sequence[str],
        will: tuple[str, bytes] | None = None,
        backlog: "Backlog | None" = None,
        now: Callable[[], float] = monotonic,
        counters: Counters | None = None,
        order_lifetime: float = ORDER_LIFETIME,
    ) -> None:
        self._brokers = settings.brokers
        self._put = put
        self._client_id = client_id
        self._will = will
        self._now = now
        self._order_lifetime = order_lifetime
        self._lock = threading.Lock()  # around the outbox
        self._backlog = backlog
        self._counters = counters or Counters()
        self._outbox = Outbox(backlog.keep if backlog else forget, self._counters.dropped)
        self._wanted = tuple(dict.fromkeys(subscriptions))
        self._stirred = False  # it has something to do, whatever it waits for
        self._waits: Wait | None = None  # for what; None before the beginning and after the end
        self.all_said = False  # at the end, and acknowledged
        self._wake: Callable[[], None] = nobody
        self._steps = self._run()
        self._thread: threading.Thread | None = None
        self._end = math.inf  # when `leave` wants to be done
        self._stuck_since = math.inf  # by `now`: since then nothing but hanging tries
        self._settings = self._brokers[0]  # of the broker in turn
        self._turns = Turns(len(self._brokers), settings.reconnect_max)
        self._tries = 0
        self._refuse_5: set[tuple[str, int]] = set()  # addresses
        self._up_since = math.inf
        self._hanging: list[Dial] = []
        self._address: dict[str, int] = {}  # broker -> which of its name's addresses is to be tried
        self._terms: dict[str, Terms] = {}  # broker -> what it took of us the last time
        self._subscriptions = Subscriptions()
        self._quality: int = 1  # of service, with which we subscribe
        self._hopeless = set[str]()  # filters that were not worth waiting for the last time
        self._refused_topics: set[str] = set()
        self._past_due = math.inf  # when the next message of the past may be said
        self._greeted = False  # the newest state was said

    # --- for who attends to it ----------------------------------------------------------------------------------------

    @property
    def waits(self) -> Wait | None:
        """For what; None before the beginning and after the end.

        What came is looked for also where it is stirred: before it judges who is late, it must have read.
        """
        return self._waits._replace(until=0.0) if self._waits and self._stirred else self._waits

    def begin(self, wake: Callable[[], None]) -> None:
        """Begin to connect. `wake`, from any thread, makes whoever attends look what it `waits` for now."""
        self._wake = wake
        self.go_on(None)

    def go_on(self, events: int | None = 0) -> None:
        """Do what is to be done now: its time has come, or its socket is ready for these events."""
        self._stirred = False
        try:
            self._waits = self._steps.send(events)  # type: ignore[arg-type]  # the first is None
        except StopIteration:
            self.abandon()

    def leave(self, timeout: float) -> None:
        """Say what is left, disconnect so that the will stays silent, and end within `timeout` seconds.

        Until the end messages that come are still put, and nothing afterwards.
        """
        self._end = min(self._end, monotonic() + timeout)
        self._stir()

    def abandon(self) -> None:
        """Its time is over. What is left is past."""
        self._steps.close()
        self._waits = None
        self._give_up_saying()

    def _give_up_saying(self) -> None:
        with self._lock:
            self._outbox.offline()

    # --- in a thread of its own ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        self._thread = threading.Thread(target=self._alone, name="link", daemon=True)
        self._thread.start()

    def _alone(self) -> None:
        with contextlib.closing(Waker()) as waker:
            self.begin(waker.set)
            while waits := self.waits:
                self.go_on(waker.sleep(waits))

    def close(self, timeout: float) -> bool:
        """Leave, and wait for it. Whether the broker has acknowledged all that was left."""
        self.leave(timeout)
        if self._thread and self._thread.is_alive():
            self._thread.join(timeout)
        self._give_up_saying()  # also where the thread hangs
        return self.all_said

    # --- for any thread -----------------------------------------------------------------------------------------------

    def publish(self, *effects: Publish) -> None:
        """Say this now. A state is said anew after each connection, and the past goes to the backlog.

        Never blocks, never raises.
        """
        if not effects:
            return
        with self._lock:
            sayable = [self._outbox.add(effect, monotonic()) for effect in effects]
        if any(sayable):
            self._stir()

    def subscribe(self, subscriptions: Sequence[str]) -> None:
        """From now on these topic filters and no others."""
        self._wanted = tuple(dict.fromkeys(subscriptions))
        self._stir()

    def figures(self, new_period: bool = False) -> Figures:
        """What was counted so far; see `Counters.figures`."""
        with self._lock:
            waiting = self._outbox.waiting
        counted = self._counters.figures(waiting, new_period)
        if (past := self._backlog) is None:
            return counted
        dropped = counted.dropped | {"backlog": counted.dropped["backlog"] + past.dropped_total}
        return replace(counted, backlog=past.waiting, backlog_oldest=past.oldest, dropped=dropped)

    def hangs(self, now: float) -> bool:
        """Whether only a fresh process can help: all tries to reach the broker hang, for long."""
        return now - self._stuck_since >= HANGING_ENDS

    def _stir(self) -> None:
        self._stirred = True
        self._wake()

    # --- step by step -------------------------------------------------------------------------------------------------

    @property
    def _closing(self) -> bool:
        return self._end < math.inf

    def _run(self) -> Steps[None]:
        while not self._closing:
            try:
                yield from self._try()
            except Exception as error:  # a bug here costs the broker for a while, never the heating
                log.exception("the link to the broker failed")
                self._tries += 1
                self._tell(LinkDown("internal-error", f"{type(error).__name__}: {error}", self._tries))
                yield from self._pause(0.0, "person")

    def _try(self) -> Steps[None]:
        """Connect, serve until the line breaks, report that, and pause."""
        self._up_since = math.inf
        self._settings = self._brokers[self._turns.current]
        failure = yield from self._connect()
        if failure is None or self._closing:
            return
        if self._up_since == math.inf:  # what takes TCP need not be a broker that works: the next address, if any
            place = words.place(self._settings)
            self._address[place] = self._address.get(place, 0) + 1
        self._tries += 1
        lasted = max(0.0, monotonic() - self._up_since)
        text = failure.text
        if failure.reason == "closed" and 0 < lasted < LASTED:  # Mosquitto 2.0 gives no reason when it throws one out
            text += f", soon after it was made: does another client use the client id {self._client_id!r}?"
        self._tell(LinkDown(failure.reason, text, self._tries))
        yield from self._pause(lasted, failure.pace, self._named(failure.elsewhere))

    def _named(self, elsewhere: Sequence[str]) -> int | None:
        """Which of our own brokers the broker sends us to. To others we do not go: they would get the password."""
        for server in elsewhere:
            for index, broker in enumerate(self._brokers):
                if server.lower() in (words.place(broker).lower(), broker.address[0].lower()):
                    return index
        return None

    def _connect(self) -> Steps[LinkError | None]:
        failures: list[LinkError] = []
        quick = False
        for version in (versions := self._versions()):
            began = monotonic()
            failure = yield from self._agree(version)
            quick = monotonic() - began < GUESS_WITHIN
            if failure is None or failure.reason not in OTHER_VERSION:
                return failure
            if failure.reason == "protocol":  # said in so many words, so worth remembering
                (self._refuse_5.add if version == "5" else self._refuse_5.discard)(self._settings.address)
            log.debug("%s", failure.text)
            failures.append(failure)
        if failures[-1].reason == "closed-early" and quick and self._will and self._tries % GUESS_EACH == 0:
            for terms in SILENT_ABOUT_WILL:
                failure = yield from self._converse(versions[-1], terms)
                if failure is None or failure.reason != "closed-early":
                    return failure
        return min(failures, key=lambda failure: failure.reason == "protocol")  # of two, what else was wrong

    def _agree(self, version: Version) -> Steps[LinkError | None]:
        """Converse on the terms that the broker has; on the best again with each connection, since it may have more."""
        terms = Terms()
        while True:
            failure = yield from self._converse(version, terms)
            less = terms
            if failure and failure.reason == "no-retain":
                less = terms._replace(retained=False) if terms.retained else terms._replace(will=False)
            elif failure and failure.reason == "no-quality":
                less = terms._replace(quality=0) if terms.quality else terms._replace(will=False)
            if less == terms or self._closing or not self._will:
                return failure
            terms = less

    def _versions(self) -> tuple[Version, ...]:
        chosen = self._settings.protocol
        if chosen != "auto":
            return (chosen,)
        return ("3.1.1", "5") if self._settings.address in self._refuse_5 else ("5", "3.1.1")

    def _pause(self, lasted: float, pace: Pace, instead: int | None = None) -> Steps[None]:
        """After a failure, until the next broker's turn, or until `close`."""
        until = monotonic() + self._turns.failed(monotonic(), lasted, pace, instead)
        while not self._closing and monotonic() < until:
            yield Wait(until)

    # --- one connection -----------------------------------------------------------------------------------------------

    def _converse(self, version: Version, terms: Terms) -> Steps[LinkError | None]:
        line = Connection(
            self._settings,
            version,
            client_id=self._client_id,
            will=self._will,
            terms=terms,
            lifetime=self._order_lifetime,
            now=self._now,
        )
        self._subscriptions, self._refused_topics = Subscriptions(), set()
        try:
            line.open((yield from self._dial()))
            yield from self._meet(line, version)
            while not self._closing:
                yield from self._turn(line, self._mind(line))
            yield from self._take_leave(line)
        except LinkError as failure:
            if self._subscriptions.unanswered:
                self._subscribe_otherwise(failure)
            return failure
        finally:
            line.close()
            with self._lock:
                self._outbox.offline()
        return None

    def _subscribe_otherwise(self, failure: LinkError) -> None:
        """Ask with the other quality of service the next time.

        RabbitMQ hangs up on a client whose queue for QoS 1 is on a node that is gone, for as long as it is gone. QoS 0
        has no such queue, and loses us nothing: what a broker keeps for a client that is away is never wanted here.
        AWS IoT Core hangs up on a topic that it forbids.
        """
        self._quality = 1 - self._quality
        failure.text += " without an answer to our subscriptions: does it forbid one of our topics?"
        failure.text += f" The next try asks for QoS {self._quality}"

    def _dial(self) -> Steps[Reached]:
        """A way to the broker. What hangs on it is left behind."""
        self._hanging = [dial for dial in self._hanging if dial.running]
        place = words.place(self._settings)
        here = [dial.step for dial in self._hanging if dial.place == place]
        if len(here) >= MOST_HANGING:
            if len(self._hanging) >= MOST_HANGING * len(self._brokers):
                self._stuck_since = min(self._stuck_since, self._now())
            steps = ", ".join(sorted(set(here)))
            raise LinkError("hangs", f"{MOST_HANGING} tries hang still ({steps}): no other before one of them ends")
        self._stuck_since = math.inf
        until = monotonic() + DIAL_WITHIN
        dial = Dial(self._settings, self._stir, self._address.get(place, 0))
        dial.start()
        while not dial.done and not self._closing and monotonic() < until:
            yield Wait(until)
        self._address[place] = dial.turn
        if dial.done:
            return dial.reached()
        dial.give_up()
        self._hanging.append(dial)
        raise LinkError("hangs", f"no way to {place}: {dial.step} hangs for {DIAL_WITHIN:g} s")

    def _meet(self, line: Connection, version: Version) -> Steps[None]:
        """Up once the broker has accepted us and every subscription stands: who is online hears orders.

        A subscription that the broker refuses is tried again for STAND_WITHIN, since a cluster that has lost a node
        refuses all of them for a while. One that it goes on refusing must not keep us silent for ever: then we are
        online without it, have told so, and do not wait for it the next time.
        """
        self._greeted, self._past_due = False, math.inf
        until, broker = monotonic() + CONNACK_WITHIN, words.place(self._settings)
        while not line.accepted and not self._closing:
            if monotonic() >= until:
                raise LinkError("no-answer", f"{broker} takes the connection and says nothing: is it an MQTT broker?")
            yield from self._turn(line, until)
        until = monotonic() + STAND_WITHIN
        while not self._closing:
            self._mind_subscriptions(line)
            awaited = self._subscriptions.awaited(self._wanted)
            if monotonic() >= until:
                self._hopeless |= awaited
            if awaited <= self._hopeless and not self._subscriptions.unanswered:
                self._hopeless &= awaited
                self._up(broker, version)
                self._tell_of_terms(line.terms)
                return
            yield from self._turn(line, min(until, self._in_time(), self._subscriptions.next_retry(self._wanted)))

    def _up(self, broker: str, version: Version) -> None:
        self._tries, self._up_since, self._quality = 0, monotonic(), 1
        with self._lock:
            dropped = self._outbox.dropped()
            self._outbox.online()  # before anybody hears of it: the answer to LinkUp is to be said
        if self._settings.tls.enabled and self._settings.tls.insecure:
            log.warning("%s is not verified (mqtt.tls.insecure): it may be anybody, and has our password", broker)
        self._tell(LinkUp(broker, version))
        if dropped:
            self._tell(Notice("dropped", f"{dropped} could not be said while offline"))
        self._tell_of_past()

    def _tell_of_terms(self, terms: Terms) -> None:
        place = words.place(self._settings)
        if self._will and terms != self._terms.get(place, Terms()):
            self._tell(Notice("broker-lacks", words.lacks(self._settings, *terms)))
        self._terms[place] = terms

    def _take_leave(self, line: Connection) -> Steps[None]:
        now = monotonic()
        until = now + GOODBYE_SHARE * (self._end - now)
        while self._up_since < math.inf and monotonic() < until:
            due = self._mind(line)
            if self._outbox.empty:
                break
            yield from self._turn(line, min(until, due))
        self.all_said = self._up_since < math.inf and self._outbox.empty and not self._refused_topics
        yield from line.goodbye(self._end)

    def _turn(self, line: Connection, until: float) -> Steps[None]:
        try:
            yield from line.turn(until)
        finally:
            arrived, line.arrived = line.arrived, []
            for message in arrived:
                self._tell(message)

    def _mind(self, line: Connection) -> float:
        """Do all that is to be done now. When the next thing is due, if nothing happens before."""
        self._mind_acknowledgements(line)
        self._mind_subscriptions(line)
        self._mind_outbox(line)
        return min(self._mind_past(line), self._in_time(), self._subscriptions.next_retry(self._wanted))

    def _in_time(self) -> float:
        """When the broker's next answer is due. Raises LinkError where it is late: then the line is dead."""
        with self._lock:
            oldest = self._outbox.oldest_sent
        patience = min(self._settings.keepalive, ACKNOWLEDGED_WITHIN)
        acknowledged = math.inf if oldest is None else oldest + patience
        due = min(acknowledged, self._subscriptions.suback_due)
        if monotonic() < due:
            return due
        broker = words.place(self._settings)
        if due == acknowledged:
            text = f"{broker} has fallen silent: no acknowledgement for {patience:g} s"
            raise LinkError("no-acknowledgement", text)
        raise LinkError("no-answer", f"{broker} does not answer a subscription")

    def _mind_acknowledgements(self, line: Connection) -> None:
        acknowledged, line.acknowledged = line.acknowledged, []
        for packet, code in acknowledged:
            with self._lock:
                found = self._outbox.acknowledged(packet)
            if found is None:
                continue
            publish, since = found
            self._counters.acknowledged(monotonic() - since)
            self._go_on_with_past(publish, code)
            if code >= REFUSED:
                self._refused(publish, "publish-refused", words.denial(code), for_now=code in FOR_NOW)
            elif publish.kind == "reading" and log.isEnabledFor(logging.DEBUG):
                log.debug("Just published %s to topic %s", publish.payload.decode(errors="replace"), publish.topic)

    def _mind_subscriptions(self, line: Connection) -> None:
        if not line.subscribed and self._subscriptions.settled(self._wanted):
            return
        now, wanted, standing = monotonic(), self._wanted, self._subscriptions
        subscribed, line.subscribed = line.subscribed, []
        for packet, codes in subscribed:
            for name, code in standing.answered(packet, codes, now):
                if code < REFUSED:
                    self._tell(Notice("subscription-granted", f"the broker grants the subscription to {name} now"))
                    continue
                text = f"the broker refused the subscription to {name}: {words.denial(code)}"
                self._tell(Notice("subscription-refused", f"{text}. It is asked for again until it stands"))
        if surplus := standing.surplus(wanted):
            line.unsubscribe(surplus)
        self._subscribe(line)
        for name in [name for name in standing.missing(wanted, now) if not is_filter(name)]:
            standing.refused(name)
            self._tell(Notice("subscription-refused", f"{name!r} is no topic filter that MQTT allows"))

    def _subscribe(self, line: Connection) -> None:
        now = monotonic()
        proper = [name for name in self._subscriptions.missing(self._wanted, now) if is_filter(name)]
        if proper and not self._subscriptions.unanswered:  # NATS may take seconds for each
            names = proper[:FILTERS_AT_ONCE]
            self._subscriptions.asked(line.subscribe(names, self._quality), names, now)

    def _mind_outbox(self, line: Connection) -> None:
        while (publish := self._next(line)) is not None:
            self._say(line, publish)
        with self._lock:
            dropped = self._outbox.dropped() if self._outbox.empty else ""
        if dropped:
            self._tell(Notice("dropped", f"{dropped} could not be said in time"))

    def _say(self, line: Connection, publish: Publish) -> bool:
        if not is_topic(publish.topic):
            self._refused(publish, "bad-topic", "MQTT allows no such topic")
        elif not line.fits(publish):
            self._refused(publish, "too-large", f"the broker takes no packet above {line.largest} bytes")
        else:
            packet = line.publish(publish)
            with self._lock:
                self._outbox.sent(packet, publish, monotonic())
            return True
        return False

    def _next(self, line: Connection) -> Publish | None:
        with self._lock:
            return self._outbox.take(monotonic()) if self._outbox.unacknowledged < line.room else None

    def _mind_past(self, line: Connection) -> float:
        """Say the next message of the past, where it is time and nothing else waits. When to look again."""
        with self._lock:
            idle = self._outbox.idle and self._outbox.unacknowledged < line.room
        if self._closing or not idle or self._backlog is None or not self._backlog.waiting:
            return math.inf
        if monotonic() >= self._past_due:
            self._past_due = monotonic() + PAST_PAUSE
            if publish := self._backlog.take(line.largest - PACKET_OVERHEAD):
                if self._say(line, publish):
                    self._past_due = math.inf  # until it is acknowledged
                else:
                    self._backlog.said()  # to nobody, as the notice tells: it would stand in the way of all others
        return self._past_due

    def _go_on_with_past(self, publish: Publish, code: int) -> None:
        """The past begins a little after the newest state was said, and goes on with each acknowledgement."""
        if publish.kind == "state" and not self._greeted:
            self._greeted, self._past_due = True, monotonic() + PAST_PAUSE
        elif publish.kind == "backlog" and self._backlog:
            refused = code >= REFUSED
            self._past_due = monotonic() + (PAST_REFUSED_PAUSE if refused else PAST_PAUSE)
            if not refused:
                self._backlog.said()
                self._tell_of_past()

    def _tell_of_past(self) -> None:
        if self._backlog and (dropped := self._backlog.dropped()):
            self._tell(Notice("dropped", dropped))

    def _refused(self, publish: Publish, reason: str, why: str, for_now: bool = False) -> None:
        """Tell of it once for each topic and connection. `for_now`: the broker may take it later."""
        if publish.kind != "backlog" or reason != "publish-refused":  # the past that the broker refuses waits
            with self._lock:
                self._outbox.refused(publish, for_now)
        if publish.topic not in self._refused_topics and len(self._refused_topics) < MOST_REFUSED:
            self._refused_topics.add(publish.topic)
            self._tell(Notice(reason, f"the {publish.kind} on topic {publish.topic[:100]!r} was not said: {why}"))

    def _tell(self, event: Message | LinkUp | LinkDown | Notice | Stop) -> None:
        acknowledged = isinstance(event, Message) and monotonic() < self._end  # so it must not vanish
        if acknowledged or not self._closing:
            self._counters.note(event)
            self._put(event)
