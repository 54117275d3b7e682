"""The line to the broker: a thread that never gives up on it.

Rule: paho runs in this thread only, and all that comes in leaves through one `put`. For ever: connect, subscribe,
serve, and after any failure a random pause (`backoff.py`). The thread wakes for bytes, for something to say and for
the keepalive, and for nothing else.
"""

import logging
import math
import select
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Publish, Stop
from stoker.link import words
from stoker.link.backoff import LASTED, Backoff
from stoker.link.connection import PACKET_OVERHEAD, Connection, Version
from stoker.link.outbox import Outbox, forget
from stoker.link.settings import Mqtt
from stoker.link.subscriptions import REFUSED, RETRY_AFTER, Subscriptions
from stoker.link.waker import Waker
from stoker.link.wellformed import is_filter, is_topic
from stoker.link.words import LinkError

if TYPE_CHECKING:
    from stoker.backlog import Backlog  # and SQLite with it, which only the daemon needs

CONNACK_WITHIN = 10.0  # seconds after TCP and TLS stand
CROWDED_PAUSE = 0.05  # seconds until the link looks again whether it may read
PAST_PAUSE = 1.0  # seconds between two messages of the past, which live ones always overtake
PAST_REFUSED_PAUSE = 60.0  # seconds until a message of the past that the broker refused is tried again
GOODBYE_SHARE = 0.8  # of the time that `close` allows goes to what is still to be said, the rest to DISCONNECT

OTHER_VERSION = frozenset({"protocol", "closed-early"})
"""Failures after which the other version of MQTT is tried at once."""

log = logging.getLogger("stoker.link")


def never() -> bool:
    """Nobody is crowded."""
    return False


class Link:
    """Make it, `start` it, and `close` it when the daemon goes. Every other method is for any thread."""

    def __init__(  # noqa: PLR0913 - what is optional is named
        self,
        settings: Mqtt,
        put: Callable[[Message | LinkUp | LinkDown | Notice | Stop], None],
        *,
        client_id: str,
        subscriptions: Sequence[str],
        will: tuple[str, bytes] | None = None,
        backlog: "Backlog | None" = None,
        crowded: Callable[[], bool] = never,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self._put = put
        self._client_id = client_id
        self._will = will
        self._crowded = crowded
        self._now = now
        self._lock = threading.Lock()  # around the outbox
        self._backlog = backlog
        self._outbox = Outbox(backlog.keep if backlog else forget)
        self._wanted = tuple(dict.fromkeys(subscriptions))
        self._waker = Waker()
        self._end = math.inf  # when `close` wants to be done
        self._all_said = False  # at the end, and acknowledged
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        # from here on the thread's own
        self._backoff = Backoff(settings.reconnect_max)
        self._tries = 0
        self._refuses_5 = False
        self._up_since = math.inf
        self._subscriptions = Subscriptions()
        self._refused_topics: set[str] = set()
        self._past_due = math.inf  # when the next message of the past may be said
        self._greeted = False  # the newest state was said

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        self._thread.start()

    def publish(self, effect: Publish) -> None:
        """Say this now. A state is said anew after each connection, and the past goes to the backlog.

        Never blocks, never raises.
        """
        with self._lock:
            sayable = self._outbox.add(effect)
        if sayable:
            self._waker.set()

    def subscribe(self, subscriptions: Sequence[str]) -> None:
        """From now on these topic filters and no others."""
        self._wanted = tuple(dict.fromkeys(subscriptions))
        self._waker.set()

    def close(self, timeout: float) -> bool:
        """Say what is left, disconnect so that the will stays silent, and end within `timeout` seconds.

        Returns whether the broker has acknowledged all of it. Nothing is put any more afterwards. A thread that hangs
        in the name server or in TLS is left behind.
        """
        self._end = min(self._end, monotonic() + timeout)
        self._waker.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        with self._lock:
            self._outbox.offline()  # what is left is past, also where the thread hangs
        if not self._thread.is_alive():
            self._waker.close()
        return self._all_said

    # --- the thread ---------------------------------------------------------------------------------------------------

    @property
    def _closing(self) -> bool:
        return self._end < math.inf

    def _run(self) -> None:
        while not self._closing:
            try:
                self._try()
            except Exception as error:  # a bug here costs the broker for a while, never the heating
                log.exception("the link to the broker failed")
                self._tries += 1
                self._tell(LinkDown("internal-error", f"{type(error).__name__}: {error}", self._tries))
                self._sleep(self._backoff.pause(0.0, True))

    def _try(self) -> None:
        """Connect, serve until the line breaks, report that, and pause."""
        self._up_since = math.inf
        failure = self._connect()
        if failure is None or self._closing:
            return
        self._tries += 1
        lasted = max(0.0, monotonic() - self._up_since)
        text = failure.text
        if failure.reason == "closed" and 0 < lasted < LASTED:  # Mosquitto 2.0 gives no reason when it throws one out
            text += f", soon after it was made: does another client use the client id {self._client_id!r}?"
        self._tell(LinkDown(failure.reason, text, self._tries))
        self._sleep(self._backoff.pause(lasted, failure.patient))

    def _connect(self) -> LinkError | None:
        failure = None
        for version in self._versions():
            failure = self._converse(version)
            if failure is None or failure.reason not in OTHER_VERSION:
                break
            if failure.reason == "protocol":  # said in so many words, so worth remembering
                self._refuses_5 = version == "5"
            log.debug("%s", failure.text)
        return failure

    def _versions(self) -> tuple[Version, ...]:
        chosen = self._settings.protocol
        if chosen != "auto":
            return (chosen,)
        return ("3.1.1", "5") if self._refuses_5 else ("5", "3.1.1")

    def _sleep(self, seconds: float) -> None:
        """Until then, or until `close`."""
        until = monotonic() + seconds
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        while not self._closing and (rest := until - monotonic()) > 0:
            poll.poll(math.ceil(rest * 1000))
            self._waker.clear()

    # --- one connection -----------------------------------------------------------------------------------------------

    def _converse(self, version: Version) -> LinkError | None:
        line = Connection(
            self._settings,
            version,
            client_id=self._client_id,
            will=self._will,
            waker=self._waker,
            now=self._now,
        )
        try:
            line.open()
            self._meet(line, version)
            while not self._closing:
                self._turn(line, self._mind(line))
            self._take_leave(line)
        except LinkError as failure:
            return failure
        finally:
            line.close()
            with self._lock:
                self._outbox.offline()
        return None

    def _meet(self, line: Connection, version: Version) -> None:
        """Up once the broker has accepted us and answered for every subscription."""
        self._subscriptions, self._refused_topics = Subscriptions(), set()
        self._greeted, self._past_due = False, math.inf
        until, broker = monotonic() + CONNACK_WITHIN, words.place(self._settings)
        while not line.accepted and not self._closing:
            if monotonic() >= until:
                raise LinkError("no-answer", f"{broker} takes the connection and says nothing: is it an MQTT broker?")
            self._turn(line, until)
        if not self._closing:
            self._subscribe(line)
        while self._subscriptions.waiting and not line.subscribed and not self._closing:
            self._turn(line, self._in_time())
        if not self._closing:
            self._up(broker, version)

    def _up(self, broker: str, version: Version) -> None:
        self._tries, self._up_since = 0, monotonic()
        with self._lock:
            dropped = self._outbox.dropped()
            self._outbox.online()  # before anybody hears of it: the answer to LinkUp is to be said
        self._tell(LinkUp(broker, version))
        if dropped:
            self._tell(Notice("dropped", f"{dropped} could not be said while offline"))
        self._tell_of_past()

    def _take_leave(self, line: Connection) -> None:
        now = monotonic()
        until = now + GOODBYE_SHARE * (self._end - now)
        while self._up_since < math.inf and monotonic() < until:
            due = self._mind(line)
            if self._outbox.empty:
                break
            self._turn(line, min(until, due))
        self._all_said = self._up_since < math.inf and self._outbox.empty and not self._refused_topics
        line.goodbye(self._end)

    def _turn(self, line: Connection, until: float) -> None:
        crowded = not self._closing and self._crowded()
        if crowded:
            until = min(until, monotonic() + CROWDED_PAUSE)
        try:
            line.turn(until, reading=not crowded)
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
        acknowledged = math.inf if oldest is None else oldest + self._settings.keepalive
        now, broker = monotonic(), words.place(self._settings)
        if now >= acknowledged:
            text = f"{broker} has fallen silent: no acknowledgement for {self._settings.keepalive:g} s"
            raise LinkError("no-acknowledgement", text)
        if now >= self._subscriptions.suback_due:
            raise LinkError("no-answer", f"{broker} does not answer a subscription")
        return min(acknowledged, self._subscriptions.suback_due)

    def _mind_acknowledgements(self, line: Connection) -> None:
        acknowledged, line.acknowledged = line.acknowledged, []
        for packet, code in acknowledged:
            with self._lock:
                publish = self._outbox.acknowledged(packet)
            if publish is None:
                continue
            self._go_on_with_past(publish, code)
            if code >= REFUSED:
                self._refused(publish, "publish-refused", words.denial(code))
            elif publish.kind == "reading":
                log.debug("Just published %s to topic %s", publish.payload.decode(errors="replace"), publish.topic)

    def _mind_subscriptions(self, line: Connection) -> None:
        now, wanted, standing = monotonic(), self._wanted, self._subscriptions
        subscribed, line.subscribed = line.subscribed, []
        for packet, codes in subscribed:
            for name, code in standing.answered(packet, codes, now):
                text = f"the broker refused the subscription to {name}: {words.denial(code)}"
                self._tell(Notice("subscription-refused", f"{text}. It is asked again every {RETRY_AFTER:g} s"))
        if surplus := standing.surplus(wanted):
            line.unsubscribe(surplus)
        self._subscribe(line)
        for name in standing.missing(wanted, now):
            standing.refused(name)
            self._tell(Notice("subscription-refused", f"{name!r} is no topic filter that MQTT allows"))

    def _subscribe(self, line: Connection) -> None:
        now = monotonic()
        if proper := [name for name in self._subscriptions.missing(self._wanted, now) if is_filter(name)]:
            self._subscriptions.asked(line.subscribe(proper), proper, now)

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
            return self._outbox.take() if self._outbox.unacknowledged < line.room else None

    def _mind_past(self, line: Connection) -> float:
        """Say the next message of the past, where it is time and nothing else waits. When to look again."""
        with self._lock:
            idle = self._outbox.idle
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

    def _refused(self, publish: Publish, reason: str, why: str) -> None:
        """Tell of it once for each topic and connection."""
        if publish.topic not in self._refused_topics:
            self._refused_topics.add(publish.topic)
            self._tell(Notice(reason, f"the {publish.kind} on topic {publish.topic[:100]!r} was not said: {why}"))

    def _tell(self, event: Message | LinkUp | LinkDown | Notice | Stop) -> None:
        if not self._closing:
            self._put(event)
