"""A thread per thermometer: what it makes of a driver that reads, fails, breaks, hangs and comes back."""

import threading
from collections.abc import Callable

from stoker.core.messages import Reading, ReadingFailed
from stoker.inbox import Inbox, monotonic
from stoker.sampler import Sampler
from stoker_drivers.interfaces import SensorError


class Scripted:
    """A thermometer that gives these answers, one a read, and the last for ever."""

    def __init__(self, *answers: float | Exception | Callable[[], float]) -> None:
        self.answers = list(answers)
        self.closed = False

    def read(self) -> float:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def close(self) -> None:
        self.closed = True


def sample(driver: Scripted, count: int) -> list[Reading | ReadingFailed]:
    inbox: Inbox[Reading | ReadingFailed] = Inbox()
    sampler = Sampler("inside", driver, 0.001, inbox.put)
    sampler.start()
    heard = [event for _ in range(count) if (event := inbox.get(monotonic() + 30))]
    sampler.close()
    assert driver.closed
    return heard


def test_no_failure_ends_the_reading() -> None:
    heard = sample(Scripted(20.0, SensorError("crc-error", "checksum"), ZeroDivisionError("oops"), 21.0), 4)

    assert [type(event) for event in heard] == [Reading, ReadingFailed, ReadingFailed, Reading]
    failures = [(event.reason, event.text) for event in heard if isinstance(event, ReadingFailed)]
    assert failures == [("crc-error", "checksum"), ("driver-error", "ZeroDivisionError: oops")]


def test_a_reading_is_never_younger_than_it_says() -> None:
    began: list[float] = []

    def slow() -> float:
        began.append(monotonic())
        return 20.0

    (reading,) = sample(Scripted(slow), 1)

    assert reading.at <= began[0]


def test_a_read_that_hangs_does_not_hold_up_the_end() -> None:
    started, release = threading.Event(), threading.Event()

    def hang() -> float:
        started.set()
        release.wait(60)
        return 20.0

    inbox: Inbox[Reading | ReadingFailed] = Inbox()
    sampler = Sampler("inside", Scripted(hang), 1.0, inbox.put)
    sampler.start()
    assert started.wait(30)
    before = monotonic()
    sampler.close()

    assert monotonic() - before < 1.0
    release.set()
    assert inbox.get(monotonic() + 0.2) is None, "after its end it says nothing more"
