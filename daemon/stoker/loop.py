"""Take one input, ask the core, carry out its effects. One thread, this one, decides and switches."""

import logging
import queue
from collections.abc import Callable, Mapping
from typing import Protocol

from stoker.core.figures import Figures
from stoker.core.messages import (
    Effect,
    Input,
    Message,
    Notice,
    Publish,
    Reading,
    ReadingFailed,
    Reload,
    Remember,
    Say,
    SayAlive,
    Stop,
    Switched,
    SwitchFailed,
    SwitchHeater,
    Tick,
)
from stoker.core.stoker import Stoker
from stoker.core.topics import json
from stoker.devices import Loaded
from stoker.heaters import HeaterPort
from stoker.inbox import Inbox, monotonic
from stoker.link.counters import Figures as LinkFigures
from stoker_drivers.interfaces import Listener, SensorError

log = logging.getLogger("stoker")

LAST_TRIES, LAST_TRIES_PAUSE = 5.0, 1.0  # seconds that a heater which doesn't obey is driven off again at the end


class Out(Protocol):
    """Where publications go."""

    def publish(self, *effects: Publish) -> None:
        """Take them; never block, never raise."""
        ...

    def hangs(self, now: float) -> bool:
        """Whether only a fresh process can help there. Asked after each pass, with the monotonic time."""
        ...

    def figures(self, new_period: bool = False) -> LinkFigures:
        """What the link has counted."""
        ...


class Memory(Protocol):
    """Where orders survive a restart."""

    def remember(self, key: str, value: str | None) -> None:
        """Take it; never block, never raise."""
        ...


class Supervisor(Protocol):
    """Who wants to know that the loop is alive."""

    def passed(self, event: Input, summary: Callable[[], str]) -> None:
        """A pass is finished."""
        ...

    def next_deadline(self) -> float:
        """When a pass is due although nothing happened."""
        ...


class Scrape:
    """Somebody waits for all figures of this moment."""

    def __init__(self) -> None:
        self._answer: queue.SimpleQueue[tuple[Figures, LinkFigures]] = queue.SimpleQueue()

    def answer(self, core: Figures, link: LinkFigures) -> None:
        """What the loop does."""
        self._answer.put((core, link))

    def wait(self, timeout: float) -> tuple[Figures, LinkFigures] | None:
        """The figures, or None where the loop hangs."""
        try:
            return self._answer.get(timeout=timeout)
        except queue.Empty:
            return None


class Loop:
    """The parts that carry out effects, joined. `reload` sees to the configuration being read anew."""

    def __init__(  # noqa: PLR0913 - it joins the parts, so it takes them all
        self,
        core: Stoker,
        inbox: Inbox[Input | Reload | Loaded | Scrape],
        *,
        heaters: Mapping[str, HeaterPort],
        listeners: Mapping[str, Mapping[str, Listener]],
        link: Out,
        store: Memory,
        supervisor: Supervisor,
        reload: Callable[[Reload | Loaded], None],
    ) -> None:
        self.core = core
        self.heaters = heaters
        self.listeners = listeners
        self._inbox = inbox
        self._link = link
        self._store = store
        self._supervisor = supervisor
        self._reload = reload

    def run(self) -> Stop:
        """Go on until a Stop arrives; then switch everything off and return it."""
        while True:
            event = self._inbox.get(until=min(self.core.next_deadline(), self._supervisor.next_deadline()))
            match event:
                case Reload() | Loaded():
                    self._reload(event)
                case Scrape():
                    event.answer(self.core.figures(self._inbox.now()), self._link.figures())
                case None:
                    self.handle(Tick())
                case Message(topic=topic) if topic in self.listeners:
                    for heard in self._hear(event):
                        self.handle(heard)
                    self.handle(event)
                case _:
                    self.handle(event)
            if isinstance(event, Stop):
                return self._end(event)
            self._look_after()

    def _look_after(self) -> None:
        """A deadline is kept however much comes in, and what had to be dropped is told."""
        if self.core.next_deadline() <= monotonic():
            self.handle(Tick())
        now = monotonic()
        if self._link.hangs(now):
            self._inbox.put(Stop("the link to the broker hangs", failed=True))
        for port in self.heaters.values():
            if port.hangs(now):
                self._inbox.put(Stop(f"the driver of heater {port.name} hangs, and may have left it on", failed=True))
        if dropped := self._inbox.dropped:
            self._inbox.dropped = 0
            self.handle(Notice("dropped", f"{dropped} events came faster than they could be handled"))

    def _end(self, stop: Stop) -> Stop:
        """A heater that does not obey is driven off again for a while before the program ends, unless it hangs."""
        until = monotonic() + LAST_TRIES
        while (stuck := self.core.not_off()) and (now := monotonic()) < until:
            if all(self.heaters[name].hangs(now) for name in stuck):
                break
            self._inbox.get(until=now + LAST_TRIES_PAUSE)
            self.carry_out(self.core.off_again())
        if stuck:
            return Stop(f"{stop.why}; could not be switched off: {', '.join(stuck)}", failed=True)
        return stop

    def handle(self, event: Input) -> None:
        """One pass."""
        self.carry_out(self.core.handle(event, self._inbox.now()))
        self._supervisor.passed(event, self.core.summary)

    def carry_out(self, effects: list[Effect]) -> None:
        """Do them in order. What a driver answers goes to the core before the next effect is carried out.

        What is to be said is handed over together, in its order.
        """
        words: list[Publish] = []
        for effect in effects:
            match effect:
                case SwitchHeater(name, on):
                    self._link.publish(*words)
                    words.clear()
                    self.carry_out(self.core.handle(self._switch(name, on), self._inbox.now()))
                case Publish():
                    words.append(effect)
                case SayAlive(topic, figures):
                    counted = {**figures, "link": self._link.figures(new_period=True)}
                    words.append(Publish(topic, json(counted), "state"))
                case Remember(key, value):
                    self._store.remember(key, value)
                case Say(level, text, fields):
                    log.log(_LEVELS[level], text, extra={"fields": fields})
        self._link.publish(*words)

    def _switch(self, name: str, on: bool) -> Switched | SwitchFailed:
        return self.heaters[name].switch(on)

    def _hear(self, message: Message) -> list[Reading | ReadingFailed]:
        """Readings that arrive on a topic. A retained one was measured nobody knows when, so it is none."""
        if message.retained:
            log.info("retained value on %s ignored: only a live one is a reading", message.topic)
            return []
        return [_decode(name, listener, message) for name, listener in self.listeners[message.topic].items()]


def _decode(name: str, listener: Listener, message: Message) -> Reading | ReadingFailed:
    try:
        return Reading(name, float(listener.decode(message.payload)), message.at)
    except SensorError as error:
        return ReadingFailed(name, error.reason, str(error), message.at)
    except Exception as error:  # another's listener; its bug is a failed reading
        log.debug("thermometer %s", name, exc_info=True)
        return ReadingFailed(name, "driver-error", f"{type(error).__name__}: {error}", message.at)


_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
