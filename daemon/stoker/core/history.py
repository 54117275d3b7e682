"""What a zone's readings said since heat is wanted without a break, so that a restart goes on judging the heater.

Rule: the evidence itself is never kept. What it was fed with is, in samples of some minutes, and after a restart it is
fed with that again. It is written at the end of a run, and each 20 minutes while it does not get warmer, so a run that
dies takes the last of it along: the hole is made as small as evidence bears. What lies before a longer one is not
compared with what comes, and after the longest all begins anew.
"""

from collections import deque
from itertools import islice
from typing import Annotated

import msgspec

from stoker.core.evidence import GAP, RISE, Evidence, Mean, rise
from stoker.core.messages import Now

SPACING = 300.0  # s of one sample, or until the relay switches
MOST = 500  # samples
LAG = 1200.0  # s between two writings at least
LATELY = 12  # samples: where it got warmer within them, nothing is held against the heater
LEAST = 600.0  # s that are worth writing down: runs that die younger are counted, and held in the end
READINGS = 3  # that a sample is fed as
CREDIT = 600  # s of heat that a test's beginning gets, so that what was due by a hair is due again


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """The mean of the readings of so many seconds, and the relay in that time."""

    span: Annotated[int, msgspec.Meta(ge=0, le=86400)]
    celsius: Annotated[float, msgspec.Meta(ge=-300, le=3000)]
    on: bool


class Record(msgspec.Struct):
    """What is remembered: the samples, of which the last one ended at this Unix time, and their thermometers."""

    until: float
    samples: Annotated[list[Sample], msgspec.Meta(max_length=MOST)]
    tested: bool
    by: tuple[str, ...] = ()


class History:
    """Of one zone. `remembered`: what an earlier run had `to_remember`; `gap`: s without a reading that end it."""

    def __init__(self, gap: float = GAP, remembered: str | None = None, now: Now | None = None) -> None:
        self._gap = gap
        self._samples: deque[Sample] = deque(maxlen=MOST)
        self._ended = 0.0  # the last sample; monotonic
        self._readings: list[float] = []  # since then
        self._on = False  # the relay with the last of them
        self._seen = 0.0
        self._written = 0.0  # Unix time
        self._tested, self._unwritten = False, 0.0
        self._to_replay = self._interrupted = False
        self._by: tuple[str, ...] = ()
        if remembered and now:
            self._recall(remembered, now)

    def _recall(self, remembered: str, now: Now) -> None:
        try:
            record = msgspec.json.decode(remembered, type=Record)
        except (msgspec.MsgspecError, RecursionError):  # of another version
            return
        away = max(now.wall - record.until, 0.0)  # a clock that was set back says nothing
        if record.samples and away <= 2 * LAG + self._gap:
            self._samples.extend(record.samples)
            self._ended = self._seen = now.mono - min(away, self._gap / 2)
            self._written, self._tested, self._to_replay = record.until, record.tested, True
            self._interrupted, self._by = away > self._gap, record.by

    def replay(self, evidence: Evidence) -> None:
        """Once after a start: tell it what the runs before saw."""
        if not self._to_replay:
            return
        self._to_replay = False
        at = self._ended - sum(sample.span for sample in self._samples)
        for sample in self._samples:
            for number in range(1, READINGS + 1):
                evidence.see(Mean(at + sample.span * number / READINGS, sample.celsius), sample.on, True, self._by)
            at += sample.span
        if self._interrupted:
            evidence.interrupted()

    def note(self, reading: Mean, on: bool, wanted: bool, by: tuple[str, ...], testing: bool) -> None:
        """Take what the evidence is fed with now, and whether it tests the heater."""
        if not wanted or reading.at - self._seen > self._gap:
            self.forget()
        if not self._samples and not self._readings:
            self._ended = reading.at
        if on is not self._on:
            self._end_sample(reading.at)
        self._readings.append(reading.celsius)
        self._seen, self._on, self._by = reading.at, on, by
        if reading.at - self._ended >= SPACING:
            self._end_sample(reading.at)
        if testing and not self._tested:
            self._samples.append(Sample(CREDIT, reading.celsius, True))
            self._tested = True

    def _end_sample(self, at: float) -> None:
        if self._readings:
            mean = sum(self._readings) / len(self._readings)
            self._samples.append(Sample(round(at - self._ended), round(mean, 2), self._on))
            self._unwritten += at - self._ended
        self._readings, self._ended = [], at

    def forget(self) -> None:
        """Nothing is held against the heater."""
        self._samples.clear()
        self._readings.clear()
        self._tested, self._unwritten = False, 0.0

    def to_remember(self, now: Now, stopping: bool = False) -> str | None:
        """What the next run has to know, where it is time to write that down."""
        due = self._unwritten >= LEAST and not 0 <= now.wall - self._written < LAG
        if not (due or (stopping and self._unwritten)) or self._rises():
            return None
        self._unwritten, self._written = 0.0, now.wall
        return msgspec.json.encode(
            Record(now.at(self._ended).wall, list(self._samples), self._tested, self._by)
        ).decode()

    def _rises(self) -> bool:
        """A heater that is well costs an SD card nothing."""
        lately = list(islice(reversed(self._samples), LATELY))
        return rise([Mean(0.0, sample.celsius) for sample in reversed(lately)]) >= RISE
