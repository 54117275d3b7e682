"""What must never be, whatever happens in whatever order: hypothesis looks for a way to break it."""

import math

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fakes import MIDNIGHT, FakeRelay
from stoker.core.messages import (
    Effect,
    Input,
    LinkDown,
    LinkUp,
    Message,
    Notice,
    Now,
    Publish,
    Reading,
    ReadingFailed,
    Remember,
    Switched,
    SwitchHeater,
    Tick,
)
from stoker.core.settings import Heater, Settings, Thermometer, Zone
from stoker.core.stoker import Kept, Stoker

temperatures = st.one_of(st.floats(-60, 120), st.floats(), st.sampled_from([19.0, 20.0, 21.0, 34.9, 35.1]))
payloads = st.one_of(
    st.sampled_from(
        [
            b"ON",
            b"OFF",
            b"AUTO",
            b"heat",
            b"off",
            b"default",
            b"auto",
            b"boost",
            b"away",
            b'{"daily": ["06:30 comfort", "22:00 12"]}',
            b"21",
            b"5",
            b"30",
            b"NaN",
            b"1e400",
            b"",
        ]
    ),
    st.binary(max_size=120),
)
spans = st.one_of(st.floats(0, 5), st.floats(0, 100), st.sampled_from([10.0, 30.0, 3600.0]), st.floats(0, 1e6))


FAULTS = {"stale-temperature", "over-temperature", "no-temperature-yet", "switch-failed", "stopping"}


class Anything(RuleBasedStateMachine):
    """Two zones on a heater each, a third that shares the second's thermometer."""

    @initialize(min_on=st.sampled_from([0.0, 10.0, 300.0]), min_off=st.sampled_from([0.0, 10.0, 300.0]))
    def build(self, min_on: float, min_off: float) -> None:
        names = ("a", "b", "c")
        self.settings = Settings(
            device="d",
            base="d",
            thermometers={"a": Thermometer(publish="TEMPERATURE"), "b": Thermometer(interval=60.0)},
            heaters={name: Heater(min_on=min_on, min_off=min_off) for name in names},
            zones={name: Zone(thermometer="b" if name == "c" else name, heater=name) for name in names},
        )
        self.time, self.wall = 50.0, MIDNIGHT
        self.relays = {name: FakeRelay() for name in names}
        self.accepted = {"a": -math.inf, "b": -math.inf}  # when the newest reading that may be taken was measured
        self.memory: dict[str, str] = {}
        self.core = Stoker(self.settings, self.memory, self.now())
        for name in self.relays:
            self.feed(Switched(name, False))

    def now(self) -> Now:
        return Now(self.time, self.wall)

    def feed(self, event: Input) -> None:
        self.carry_out(self.core.handle(event, self.now()))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SwitchHeater(name, on, reason):
                    self.check_switch(name, on, reason)
                    self.carry_out(self.core.handle(self.relays[name].switch(name, on, self.time), self.now()))
                case Remember(key, value):
                    if value is None:
                        self.memory.pop(key, None)
                    else:
                        self.memory[key] = value
                case Publish(topic, payload):
                    assert "+" not in topic
                    assert "#" not in topic
                    if topic.endswith(("state", "event")):
                        msgspec.json.decode(payload)

    def check_switch(self, name: str, on: bool, reason: str) -> None:
        heater, relay = self.settings.heaters[name], self.relays[name]
        since = self.time - relay.history[-1][0] if relay.history else math.inf
        if on:
            self.check_fresh(name)
            assert since >= heater.min_off
        elif relay.on and since < heater.min_on:
            assert reason in FAULTS, f"off after {since} s because of {reason}"

    def check_fresh(self, name: str) -> None:
        (thermometer,) = self.settings.thermometers_of(name)
        age = self.time - self.accepted[thermometer]
        assert age < self.settings.stale_after(name), f"heat in {name} with a reading {age} s old"

    @rule(thermometer=st.sampled_from("ab"), celsius=temperatures, ago=st.one_of(st.just(0.0), spans))
    def reading(self, thermometer: str, celsius: float, ago: float) -> None:
        at = self.time - ago
        if math.isfinite(celsius) and -40 <= celsius <= 85:
            self.accepted[thermometer] = max(self.accepted[thermometer], at)
        self.feed(Reading(thermometer, celsius, at))

    @rule(thermometer=st.sampled_from("ab"), times=st.integers(1, 40))
    def it_is_cold_for_a_while(self, thermometer: str, times: int) -> None:
        """So that heaters are on more often than chance would have it."""
        for _ in range(times):
            self.reading(thermometer, 10.0, 0.0)
            self.time_passes(10.0)

    @rule(thermometer=st.sampled_from("abz"), reason=st.sampled_from(["crc-error", "no-sensor"]))
    def failure(self, thermometer: str, reason: str) -> None:
        self.feed(ReadingFailed(thermometer, reason, "it failed", self.time))

    @rule(
        zone=st.sampled_from("abc"),
        subject=st.sampled_from(["mode", "target", "heater", "preset", "schedule"]),
        payload=payloads,
        ago=st.one_of(st.just(0.0), spans),
        retained=st.booleans(),
        reply_to=st.sampled_from(["", "answers"]),
    )
    def order(self, zone: str, subject: str, payload: bytes, ago: float, retained: bool, reply_to: str) -> None:
        before = (self.core.zones[zone].mode, vars(self.core.zones[zone].orders).copy(), self.core.zones[zone].by_hand)
        message = Message(f"d/{zone}/{subject}/set", payload, self.time - ago, retained=retained, reply_to=reply_to)
        self.feed(message)
        if retained or ago > 60:
            by_hand = self.core.zones[zone].by_hand
            assert (self.core.zones[zone].mode, vars(self.core.zones[zone].orders), by_hand) == before

    @rule(seconds=spans)
    def time_passes(self, seconds: float) -> None:
        """The shell wakes at each deadline; at most once late."""
        end = self.time + seconds
        for _ in range(100):
            deadline = self.core.next_deadline()
            if deadline > end:
                break
            assert deadline >= self.time, "a deadline in the past would spin"
            self.wall += deadline - self.time
            self.time = deadline
            self.feed(Tick())
            assert self.core.next_deadline() > self.time, "a deadline that a tick does not move would spin"
        self.wall += end - self.time
        self.time = end
        self.feed(Tick())

    @rule(seconds=st.floats(-1e8, 1e8))
    def the_wall_clock_jumps(self, seconds: float) -> None:
        self.wall = max(0.0, self.wall + seconds)

    @rule(heater=st.sampled_from("abc"), broken=st.booleans())
    def a_relay_breaks_or_mends(self, heater: str, broken: bool) -> None:
        self.relays[heater].broken = "it does not switch" if broken else ""

    @rule(event=st.sampled_from([LinkUp("b:1"), LinkDown("refused", "no", 1), Notice("dropped", "3 readings")]))
    def the_link_changes(self, event: Input) -> None:
        self.feed(event)

    @rule()
    def restart(self) -> None:
        for relay in self.relays.values():
            relay.broken = ""
            relay.switch("", False, self.time)
        self.accepted = dict.fromkeys(self.accepted, -math.inf)
        self.core = Stoker(self.settings, self.memory, self.now())
        for name in self.relays:
            self.feed(Switched(name, False))

    @rule(thermometers=st.sets(st.sampled_from("ab")), heaters=st.sets(st.sampled_from("abc")))
    def reload(self, thermometers: set[str], heaters: set[str]) -> None:
        """The drivers that are not kept are closed first, and what they knew is gone."""
        kept = Kept(thermometers, heaters)
        for name in self.relays.keys() - heaters:
            self.relays[name].broken = ""
            self.relays[name].switch("", False, self.time)
        self.accepted |= dict.fromkeys(self.accepted.keys() - thermometers, -math.inf)
        self.core, _, effects = self.core.replace(self.settings, kept, self.now())
        self.carry_out(effects)

    @invariant()
    def no_heat_without_a_fresh_reading(self) -> None:
        for name, relay in getattr(self, "relays", {}).items():
            if relay.on and not self.core.heaters[name].failure:
                self.check_fresh(name)

    @invariant()
    def a_relay_that_failed_is_soon_driven_off_again(self) -> None:
        for heater in self.core.heaters.values() if hasattr(self, "core") else ():
            assert not heater.failure or self.core.next_deadline() <= self.time + 10.0

    @invariant()
    def every_decision_has_its_reason(self) -> None:
        for zone in self.core.zones.values() if hasattr(self, "core") else ():
            assert zone.decision.reason
            assert zone.decision.text


Anything.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnything = Anything.TestCase
