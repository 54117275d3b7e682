"""The loop's own rules: what hangs beside it ends the program, with every heater off and a failing exit."""

import math
import threading
from collections.abc import Callable

import pytest

from fakes import SimulatedHouse
from stoker import heaters
from stoker.core.messages import Input, Message, Publish, Reading, Reload, Stop
from stoker.devices import Loaded
from stoker.heaters import HeaterPort
from stoker.inbox import Inbox, monotonic
from stoker.link.counters import Counters
from stoker.link.counters import Figures as LinkFigures
from stoker.loop import LAST_TRIES, Loop, Scrape


class Relay:
    """What it was driven to."""

    def __init__(self) -> None:
        self.history: list[bool] = []

    def switch(self, on: bool) -> None:
        self.history.append(on)

    def close(self) -> None:
        self.switch(False)


class RelayThatHangs(Relay):
    """It never comes back from being switched off while it is on."""

    def switch(self, on: bool) -> None:
        if not on and self.history[-1:] == [True]:
            threading.Event().wait()
        super().switch(on)


class HangingLink:
    """Takes everything, and moves no more from its third look on."""

    def __init__(self, hangs_at: float = 3) -> None:
        self.looks: list[float] = []
        self._hangs_at = hangs_at

    def publish(self, *effects: Publish) -> None:
        pass

    def hangs(self, now: float) -> bool:
        self.looks.append(now)
        return len(self.looks) >= self._hangs_at

    def figures(self, new_period: bool = False) -> LinkFigures:
        return Counters().figures(0, new_period)


class Beside:
    """A supervisor that wants a pass now and then, and a store without a disk."""

    def passed(self, event: Input, summary: Callable[[], str]) -> None:
        pass

    def next_deadline(self) -> float:
        return monotonic() + 0.02

    def remember(self, key: str, value: str | None) -> None:
        pass


def reload(_event: Reload | Loaded) -> None:
    raise AssertionError("nobody asked for it")


def ended(relay: Relay, link: HangingLink, *orders: Message) -> Stop:
    """How the loop of a cold room ends by itself."""
    house = SimulatedHouse(begin=monotonic(), min_on=0.0, min_off=0.0)
    inbox: Inbox[Input | Reload | Loaded | Scrape] = Inbox()
    port = HeaterPort("radiator", lambda: relay)
    loop = Loop(
        house.core,
        inbox,
        heaters={"radiator": port},
        listeners={},
        link=link,
        store=Beside(),
        supervisor=Beside(),
        reload=reload,
    )
    inbox.put(Reading("inside", 15.0, monotonic()))
    for order in orders:
        inbox.put(order)
    stop = loop.run()
    port.close()
    return stop


def test_a_link_that_hangs_ends_the_program_cold() -> None:
    relay, link = Relay(), HangingLink()
    stop = ended(relay, link)
    assert (stop.why, stop.failed) == ("the link to the broker hangs", True)
    assert True in relay.history, "it was heating"
    assert relay.history[-1] is False
    assert link.looks == sorted(link.looks)


def test_a_driver_that_hangs_while_its_heater_may_be_on_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in this process can switch it off any more; `stoker off` in a new one can."""
    monkeypatch.setattr(heaters, "PATIENCE", 0.05)
    monkeypatch.setattr(heaters, "HANGS_AFTER", 0.2)
    began, relay = monotonic(), RelayThatHangs()
    off = Message("stoker/shed/room/mode/set", b"off", monotonic())
    stop = ended(relay, HangingLink(hangs_at=math.inf), off)
    assert relay.history[-1] is True, "it was heating, and nobody could switch it off"
    assert stop.failed
    assert stop.why.startswith(
        "the driver of heater radiator hangs, and may have left it on; could not be switched off"
    )
    assert monotonic() - began < LAST_TRIES, "it is not asked again and again"
