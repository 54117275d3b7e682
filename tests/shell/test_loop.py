"""The loop's own rules: what hangs beside it ends the program, with every heater off and a failing exit."""

from collections.abc import Callable

from fakes import SimulatedHouse
from stoker.core.messages import Effect, Input, Publish, Reading, Reload
from stoker.devices import Loaded
from stoker.heaters import HeaterPort
from stoker.inbox import Inbox, monotonic
from stoker.link.counters import Counters
from stoker.link.counters import Figures as LinkFigures
from stoker.loop import Loop, Scrape


class Relay:
    """What it was driven to."""

    def __init__(self) -> None:
        self.history: list[bool] = []

    def switch(self, on: bool) -> None:
        self.history.append(on)

    def close(self) -> None:
        self.switch(False)


class HangingLink:
    """Takes everything, and moves no more from its third look on."""

    def __init__(self) -> None:
        self.looks: list[float] = []

    def publish(self, *effects: Publish) -> None:
        pass

    def hangs(self, now: float) -> bool:
        self.looks.append(now)
        return len(self.looks) >= 3

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


def reload(_event: Reload | Loaded) -> list[Effect]:
    raise AssertionError("nobody asked for it")


def test_a_link_that_hangs_ends_the_program_cold() -> None:
    house, relay, link = SimulatedHouse(begin=monotonic(), min_on=0.0, min_off=0.0), Relay(), HangingLink()
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
    stop = loop.run()
    port.close()
    assert (stop.why, stop.failed) == ("the link to the broker hangs", True)
    assert True in relay.history, "it was heating"
    assert relay.history[-1] is False
    assert link.looks == sorted(link.looks)
