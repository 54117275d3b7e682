"""The heater's driver: claimed when it can be, let go whatever happens."""

import threading
import time
from collections.abc import Callable

import pytest

from stoker import heaters
from stoker.core.messages import Switched, SwitchFailed
from stoker.heaters import HeaterPort
from stoker.inbox import monotonic
from stoker_drivers.interfaces import HeaterError


class Relay:
    """A relay whose line may be taken and whose switching may fail."""

    def __init__(self) -> None:
        self.on = False
        self.failure: BaseException | None = None
        self.hang: Callable[[], object] | None = None
        self.closed = 0

    def switch(self, on: bool) -> None:
        if self.hang:
            self.hang()
        if self.failure:
            raise self.failure
        self.on = on

    def close(self) -> None:
        self.on = False
        self.closed += 1


def test_a_line_in_use_is_claimed_as_soon_as_it_is_free() -> None:
    relay, busy = Relay(), True

    def claim() -> Relay:
        if busy:
            raise HeaterError("GPIO17 is in use")
        return relay

    port = HeaterPort("radiator", claim)
    assert port.switch(True) == SwitchFailed("radiator", "GPIO17 is in use")
    busy = False
    assert port.switch(False) == Switched("radiator", False)
    assert port.switch(True) == Switched("radiator", True)
    assert relay.on


def test_a_driver_that_fails_is_driven_off_and_claimed_anew() -> None:
    relays: list[Relay] = []

    def claim() -> Relay:
        relays.append(Relay())
        return relays[-1]

    port = HeaterPort("radiator", claim)
    port.switch(True)
    relays[0].failure = OSError(5, "Input/output error")
    assert port.switch(False) == SwitchFailed("radiator", "OSError: [Errno 5] Input/output error")
    assert (relays[0].on, relays[0].closed) == (False, 1)

    assert port.switch(False) == Switched("radiator", False)
    assert len(relays) == 2


def test_a_driver_that_hangs_holds_nobody_up_for_long_and_is_driven_off_when_it_wakes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heaters, "PATIENCE", 0.05)
    relay, awake = Relay(), threading.Event()
    port = HeaterPort("radiator", lambda: relay)
    port.switch(True)
    relay.hang = awake.wait
    assert port.switch(False) == SwitchFailed("radiator", "the driver did not answer within 0.05 s")
    assert port.switch(False) == SwitchFailed("radiator", "the driver still hangs")

    awake.set()
    relay.hang = None
    until = time.monotonic() + 10
    while port.switch(False) != Switched("radiator", False):
        assert time.monotonic() < until
    assert not relay.on


def test_a_driver_hangs_once_it_was_asked_long_in_vain_and_may_have_left_its_heater_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heaters, "PATIENCE", 0.05)
    monkeypatch.setattr(heaters, "FIRST_CLAIM", 0.05)
    relay, awake = Relay(), threading.Event()
    port = HeaterPort("radiator", lambda: relay)
    relay.hang = awake.wait
    port.switch(False)
    assert not port.hangs(monotonic() + 60), "it was never on, so another process could do no better"
    port.switch(True)
    assert not port.hangs(monotonic()), "it may only be slow"
    assert port.hangs(monotonic() + 60)

    awake.set()
    relay.hang = None
    until = time.monotonic() + 10
    while port.switch(False) != Switched("radiator", False):
        assert time.monotonic() < until
    assert not port.hangs(monotonic() + 60)


def test_a_driver_that_ends_the_program_does_not() -> None:
    relay = Relay()
    relay.failure = SystemExit(3)
    port = HeaterPort("radiator", lambda: relay)

    assert port.switch(True) == SwitchFailed("radiator", "SystemExit: 3")


def test_close_is_off_and_may_come_twice() -> None:
    relay = Relay()
    port = HeaterPort("radiator", lambda: relay)
    port.switch(True)
    port.close()
    port.close()

    assert (relay.on, relay.closed) == (False, 1)
