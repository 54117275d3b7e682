"""The table of interlocks: the manual shows it as it is, and each row knows its own fault and no other."""

from pathlib import Path

import pytest

from stoker.core import interlocks
from stoker.core.evidence import Findings
from stoker.core.interlocks import Around, Latched, Relay, Situation
from stoker.core.messages import Reason
from stoker.core.thermometer import Trouble

README = Path(__file__).parents[2] / "README.md"
IDLE = Relay(on=False, since=0.0, heated_until=-1e9, max_on=3600.0, rest=600.0, latch=False)
RESTING = IDLE._replace(stretch=3600.0)
ON = IDLE._replace(on=True, since=900.0)


def situation(
    relay: Relay = IDLE,
    *,
    now: float = 1000.0,
    celsius: float | None = 20.0,
    before: float | None = 20.0,
    at: float = 995.0,
    trouble: Trouble | None = None,
    findings: Findings = Findings(),  # noqa: B008 -- it cannot change
    held: str = "",
    stuck: str = "",
    latched: Latched | None = None,
    forbidding: Reason | None = None,
) -> Situation:
    """A zone in which all is well, but for what is said."""
    return Situation(
        now=now,
        celsius=celsius,
        hottest=celsius,
        before=before,
        at=at,
        trouble=trouble,
        stale_after=30.0,
        max_temperature=35.0,
        around=Around(relay, held, stuck),
        findings=findings,
        latched=latched,
        forbidding=forbidding,
    )


def test_the_manual_shows_the_table() -> None:
    assert f"\n\n{interlocks.as_markdown()}\n\n" in README.read_text()


def test_the_table_has_every_reason_once() -> None:
    reasons = [row.reason for row in interlocks.TABLE]
    assert len(set(reasons)) == len(reasons)
    assert set(reasons) == set(Reason) - {
        Reason.BELOW_TARGET,
        Reason.TARGET_REACHED,
        Reason.MODE_OFF,
        Reason.BY_HAND,
        Reason.FROST_PROTECTION,
        Reason.OPEN_WINDOW,
        Reason.NO_ZONE,
        Reason.PULSE,
        Reason.PAUSE,
        Reason.TUNING,
        Reason.STOPPING,
    }


SEEN: list[tuple[Situation, tuple[Reason, bool] | None]] = [
    (situation(), None),
    (situation(ON), None),
    (situation(celsius=None, before=None), (Reason.NO_TEMPERATURE_YET, False)),
    (situation(celsius=None, now=1025.0), (Reason.STALE_TEMPERATURE, False)),
    (situation(now=1024.9), None),
    (situation(now=1025.0), (Reason.STALE_TEMPERATURE, False)),
    (situation(ON, celsius=35.0, before=35.0), None),
    (situation(ON, celsius=35.1, before=35.0), (Reason.OVER_TEMPERATURE, False)),
    (situation(ON, celsius=35.1, before=35.1), (Reason.OVER_TEMPERATURE, True)),
    (situation(ON, celsius=35.1, before=None), (Reason.OVER_TEMPERATURE, False)),
    (situation(ON, celsius=35.1, before=30.0), (Reason.OVER_TEMPERATURE, False)),
    (situation(celsius=20.0, forbidding=Reason.OVER_TEMPERATURE), None),
    (situation(ON, now=9000.0, at=8999.0), (Reason.MAX_ON, False)),
    (situation(celsius=35.1, before=35.1), (Reason.OVER_TEMPERATURE, False)),
    (situation(IDLE._replace(heated_until=-800.0), celsius=36.0, before=36.0), (Reason.OVER_TEMPERATURE, False)),
    (situation(IDLE._replace(heated_until=-799.0), celsius=36.0, before=36.0), (Reason.OVER_TEMPERATURE, True)),
    (situation(celsius=34.5, forbidding=Reason.OVER_TEMPERATURE), (Reason.OVER_TEMPERATURE, False)),
    (situation(celsius=34.0, forbidding=Reason.OVER_TEMPERATURE), None),
    (situation(celsius=34.5, forbidding=Reason.MAX_ON, now=601.0, at=600.0), None),
    (situation(ON, now=4499.0, at=4499.0), None),
    (situation(ON, now=4500.0, at=4499.0), (Reason.MAX_ON, False)),
    (situation(ON._replace(latch=True), now=4500.0, at=4499.0), (Reason.MAX_ON, True)),
    (situation(ON._replace(max_on=0.0), now=1e6, at=1e6), None),
    (situation(RESTING, now=599.0), (Reason.MAX_ON, False)),
    (situation(RESTING, now=600.0), None),
    (situation(now=599.0, forbidding=Reason.STALE_TEMPERATURE), None),
    (situation(held="died"), (Reason.TOO_MANY_RESTARTS, False)),
    (situation(stuck="cellar"), (Reason.STUCK_ON, False)),
    (situation(findings=Findings(stuck_on="warmer")), (Reason.STUCK_ON, True)),
    (situation(findings=Findings(stuck_on="warmer"), stuck="cellar"), (Reason.STUCK_ON, True)),
    (situation(findings=Findings(runaway="no warmer")), (Reason.RUNAWAY, True)),
    (situation(findings=Findings(testing="off")), (Reason.HEATER_TEST, False)),
    (situation(latched=Latched(Reason.RUNAWAY, "no warmer")), (Reason.RUNAWAY, False)),
    (situation(latched=Latched(Reason.MAX_ON, "on"), findings=Findings(stuck_on="warmer")), (Reason.STUCK_ON, True)),
    (situation(latched=Latched(Reason.STUCK_ON, "it"), findings=Findings(stuck_on="warm")), (Reason.STUCK_ON, False)),
    (situation(RESTING._replace(latch=True), now=599.0), (Reason.MAX_ON, False)),
]


@pytest.mark.parametrize(("seen", "expected"), SEEN)
def test_a_situation_and_its_verdict(seen: Situation, expected: tuple[Reason, bool] | None) -> None:
    verdict = interlocks.verdict(seen)
    assert (verdict and (verdict.interlock.reason, verdict.latch)) == expected
    if verdict:
        assert verdict.text
        assert (verdict.interlock.reason in interlocks.LATCHING) >= verdict.latch


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (situation(celsius=None), "waiting for the first reading"),
        (situation(celsius=None, now=100.0, at=5.0), "no reading since the start 95 s ago; 30 s are allowed"),
        (situation(celsius=None, now=1040.4), "no reading since the start 45 s ago; 30 s are allowed"),
        (
            situation(now=1040.0, trouble=Trouble("crc-error", "checksum wrong")),
            "last reading 20.00 °C, 45 s old; 30 s are allowed; crc-error: checksum wrong",
        ),
        (situation(ON, celsius=35.1), "35.10 °C is above 35 °C"),
        (
            situation(celsius=34.5, forbidding=Reason.OVER_TEMPERATURE),
            "34.50 °C, after more than 35 °C; heat may return at 34 °C",
        ),
        (situation(ON, now=4500.0, at=4499.0), "on for 60 min"),
        (situation(RESTING, now=1.0, at=0.0), "rests until it has been off for 10 min"),
        (situation(stuck="cellar"), "every output is off because the relay of cellar sticks"),
        (situation(stuck="cellar", findings=Findings(stuck_on="no fall here")), "no fall here"),
        (
            situation(latched=Latched(Reason.RUNAWAY, "no warmer", "2026-01-05T06:00:00Z")),
            "no warmer (since 2026-01-05T06:00:00Z, until a reset)",
        ),
    ],
)
def test_what_a_verdict_says(seen: Situation, text: str) -> None:
    verdict = interlocks.verdict(seen)
    assert verdict is not None
    assert verdict.text == text


def test_who_was_on_for_less_than_allowed_need_not_rest() -> None:
    assert interlocks.verdict(situation(IDLE._replace(stretch=3599.5), now=1.0, at=0.0)) is None


def test_only_what_is_nobodys_fault_makes_no_event() -> None:
    quiet = [row.reason for row in interlocks.INTERLOCKS if not row.fault]
    assert quiet == [Reason.NO_TEMPERATURE_YET, Reason.HEATER_TEST]


@pytest.mark.parametrize(
    ("seen", "at"),
    [
        (situation(), 1025.0),
        (situation(ON, at=5000.0), 4500.0),
        (situation(IDLE._replace(since=999.0), at=5000.0), 1599.0),
        (situation(ON._replace(max_on=0.0), at=5000.0), 5030.0),
        (situation(IDLE._replace(since=999.0, max_on=0.0), at=5000.0), 5030.0),
        (situation(now=1025.0), float("inf")),
    ],
)
def test_when_to_look_again(seen: Situation, at: float) -> None:
    assert interlocks.next_look(seen) == at


def test_what_speaks_against_heat_beside_staleness() -> None:
    assert not interlocks.forbidden_otherwise(situation(now=2000.0))
    assert interlocks.forbidden_otherwise(situation(now=2000.0, held="died"))
    assert interlocks.forbidden_otherwise(situation(now=2000.0, findings=Findings(runaway="no warmer")))


def test_what_was_latched_is_recalled() -> None:
    assert interlocks.recall('{"reason": "max-on", "text": "t", "time": "T"}') == Latched(Reason.MAX_ON, "t", "T")
    odd = interlocks.recall('{"reason": "below-target", "text": "t", "time": "T"}')
    assert odd == Latched(Reason.RUNAWAY, "below-target: t", "T")
    assert interlocks.recall("?").reason is Reason.RUNAWAY
