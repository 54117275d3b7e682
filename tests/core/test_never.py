"""What must never be, whatever happens in whatever order: hypothesis looks for a way to break it."""

import math

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

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
            b"reset",
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


FAULTS = {
    "stale-temperature",
    "over-temperature",
    "no-temperature-yet",
    "switch-failed",
    "stopping",
    "runaway",
    "heater-test",
    "stuck-on",
    "max-on",
    "too-many-restarts",
    "no-zone",
}
EPSILON = 1e-6  # s; times as large as these have no finer


class Anything(RuleBasedStateMachine):
    """Two zones on a heater each, a third that shares the second's thermometer."""

    @initialize(
        min_on=st.sampled_from([0.0, 10.0, 300.0]),
        min_off=st.sampled_from([0.0, 10.0, 300.0]),
        max_on=st.sampled_from([60.0, 1800.0, 43200.0]),
        latch=st.booleans(),
        runaway_after=st.sampled_from([0.0, 120.0, 3600.0]),
        stuck_on_after=st.sampled_from([0.0, 60.0, 3600.0]),
    )
    def build(
        self,
        min_on: float,
        min_off: float,
        max_on: float,
        latch: bool,
        runaway_after: float,
        stuck_on_after: float,
    ) -> None:
        names = ("a", "b", "c")
        self.settings = Settings(
            device="d",
            base="d",
            thermometers={"a": Thermometer(publish="TEMPERATURE", max_rate=0.0), "b": Thermometer(interval=60.0)},
            heaters={
                name: Heater(min_on=min_on, min_off=min_off, max_on=max_on, max_on_rest=600.0, max_on_latch=latch)
                for name in names
            },
            zones={
                name: Zone(
                    thermometer="b" if name == "c" else name,
                    heater=name,
                    runaway_after=runaway_after,
                    runaway_test=120.0,
                    stuck_on_after=stuck_on_after,
                )
                for name in names
            },
        )
        self.deaths, self.started, self.heated = 0, 50.0, False  # runs in a row that died young while heating
        self.latched: set[str] = set()  # zones whose fault was said to be latched, and that nobody has reset
        self.time, self.wall = 50.0, MIDNIGHT
        self.relays = {name: FakeRelay() for name in names}
        self.accepted = {"a": -math.inf, "b": -math.inf}  # when the newest reading that may be taken was measured
        self.memory: dict[str, str] = {}
        self.before = dict.fromkeys(names, 0.0)  # s that a restart interrupted, of a stretch that goes on with it
        self.jumped = False  # the wall clock, and nobody has seen it yet
        self.core = Stoker(self.settings, self.memory, self.now())
        for name in self.relays:
            self.feed(Switched(name, False))

    def now(self) -> Now:
        return Now(self.time, self.wall)

    def feed(self, event: Input) -> None:
        self.jumped = False
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
                    self.listen(topic, payload)
                    assert "+" not in topic
                    assert "#" not in topic
                    if topic.endswith(("state", "event")):
                        msgspec.json.decode(payload)

    def listen(self, topic: str, payload: bytes) -> None:
        """What is latched, as anybody knows it who listens."""
        if topic != "d/event":
            return
        event = msgspec.json.decode(payload)
        if event["event"] == "fault" and event.get("latched"):
            self.latched.add(event["zone"])
        elif event["event"] == "fault-reset":
            self.latched.discard(event["zone"])

    def check_switch(self, name: str, on: bool, reason: str) -> None:
        heater, relay = self.settings.heaters[name], self.relays[name]
        since = self.time - relay.history[-1][0] if relay.history else math.inf
        if on:
            self.check_fresh(name)
            assert name not in self.latched, "heat in a latched zone"
            young = self.time - self.started < self.settings.stable_after - EPSILON
            assert not young or self.deaths < self.settings.max_restarts, "heat after so many deaths"
            self.heated |= young
            assert since >= heater.min_off - EPSILON
        elif relay.on and since < heater.min_on - EPSILON:
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

    @rule(thermometer=st.sampled_from("ab"), times=st.integers(2, 200), step=st.sampled_from([0.0, 0.05, -0.05]))
    def it_gets_warmer_or_not_whatever_the_relay_does(self, thermometer: str, times: int, step: float) -> None:
        """Slipped sensors, dead heaters, relays that stick."""
        celsius = self.core.thermometers[thermometer].celsius or 15.0
        for _ in range(times):
            celsius = min(max(celsius + step, -40.0), 85.0)
            self.reading(thermometer, celsius, 0.0)
            self.time_passes(10.0)

    @rule(times=st.integers(1, 8), seconds=st.sampled_from([10.0, 100.0]))
    def it_dies_again_and_again(self, times: int, seconds: float) -> None:
        for _ in range(times):
            self.reading("a", 10.0, 0.0)
            self.time_passes(seconds)
            self.restart()

    @rule(times=st.integers(2, 5), readings=st.sampled_from([2, 5]))
    def it_is_cold_and_the_supply_is_flaky(self, times: int, readings: int) -> None:
        for _ in range(times):
            self.restart()
            self.it_is_cold_for_a_while("a", readings)

    @rule(celsius=st.sampled_from([34.9, 35.1, 36.0]), times=st.integers(1, 3))
    def it_is_too_hot(self, celsius: float, times: int) -> None:
        for _ in range(times):
            self.reading("a", celsius, 0.0)
            self.time_passes(1.0)

    @rule(zone=st.sampled_from("abc"))
    def somebody_resets(self, zone: str) -> None:
        self.feed(Message(f"d/{zone}/fault/reset", b"reset", self.time))

    @rule(thermometer=st.sampled_from("abz"), reason=st.sampled_from(["crc-error", "no-sensor"]))
    def failure(self, thermometer: str, reason: str) -> None:
        self.feed(ReadingFailed(thermometer, reason, "it failed", self.time))

    @rule(
        zone=st.sampled_from("abc"),
        subject=st.sampled_from(["mode/set", "target/set", "heater/set", "preset/set", "schedule/set", "fault/reset"]),
        payload=payloads,
        ago=st.one_of(st.just(0.0), spans),
        retained=st.booleans(),
        reply_to=st.sampled_from(["", "answers"]),
    )
    def order(self, zone: str, subject: str, payload: bytes, ago: float, retained: bool, reply_to: str) -> None:
        was_latched = set(self.latched)
        before = (self.core.zones[zone].mode, vars(self.core.zones[zone].orders).copy(), self.core.zones[zone].by_hand)
        message = Message(f"d/{zone}/{subject}", payload, self.time - ago, retained=retained, reply_to=reply_to)
        self.feed(message)
        if retained or ago > 60:
            by_hand = self.core.zones[zone].by_hand
            assert (self.core.zones[zone].mode, vars(self.core.zones[zone].orders), by_hand) == before
        if not (subject == "fault/reset" and payload.strip().lower() == b"reset") or retained or ago > 60:
            assert was_latched <= self.latched, "something else than a reset took a fault away"

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
        self.jumped = True

    @rule(heater=st.sampled_from("abc"), broken=st.booleans())
    def a_relay_breaks_or_mends(self, heater: str, broken: bool) -> None:
        self.relays[heater].broken = "it does not switch" if broken else ""

    @rule(event=st.sampled_from([LinkUp("b:1"), LinkDown("refused", "no", 1), Notice("dropped", "3 readings")]))
    def the_link_changes(self, event: Input) -> None:
        self.feed(event)

    def interrupted(self, name: str) -> float:
        """How long the relay was on, restarts and what they took left aside, if its stretch isn't over."""
        relay = self.relays[name]
        switched = [time for time, _ in relay.history]
        rested = self.time - switched[-1] if switched else math.inf
        if self.jumped or (rested >= self.settings.heaters[name].max_on_rest and not relay.on):
            return 0.0
        if relay.on:
            return rested + self.before_this(name)
        return self.before[name] if switched[-1] <= self.started else 0.0

    def before_this(self, name: str) -> float:
        """What is to be added to the present stretch, if it is the first one since a start that interrupted it."""
        switched = [time for time, _ in self.relays[name].history]
        if len(switched) < 2 or switched[-2] > self.started:
            return 0.0
        return self.before[name] if switched[-1] - switched[-2] < self.settings.heaters[name].max_on_rest else 0.0

    @rule()
    def restart(self) -> None:
        self.before = {name: self.interrupted(name) for name in self.relays}
        for relay in self.relays.values():
            relay.broken = ""
            relay.switch("", False, self.time)
        self.accepted = dict.fromkeys(self.accepted, -math.inf)
        if self.time - self.started >= self.settings.stable_after - EPSILON:
            self.deaths = 0
        elif self.heated:
            self.deaths += 1
        self.started, self.heated = self.time, False
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

    @rule(zone=st.sampled_from("abc"))
    def a_zone_is_taken_out_of_the_files_and_put_back(self, zone: str) -> None:
        before, target = self.orders_of(zone), self.core.zones[zone].orders.target
        without = {name: table for name, table in self.settings.zones.items() if name != zone}
        for zones in (without, self.settings.zones):
            kept = Kept({"a", "b"}, set(self.relays))
            self.core, _, effects = self.core.replace(replace(self.settings, zones=zones), kept, self.now())
            self.carry_out(effects)
        assert self.orders_of(zone) == before
        assert self.core.zones[zone].orders.target in (target, None), "None: its time has come"

    def orders_of(self, zone: str) -> tuple[object, ...]:
        orders = self.core.zones[zone].orders
        return orders.mode, orders.preset, orders.schedule

    @invariant()
    def no_heat_without_a_fresh_reading(self) -> None:
        for name, relay in getattr(self, "relays", {}).items():
            if relay.on and not self.core.heaters[name].failure:
                self.check_fresh(name)

    @invariant()
    def no_heat_in_a_latched_zone(self) -> None:
        for name in getattr(self, "latched", ()):
            assert self.core.zones[name].fault is not None, "it was forgotten"
            assert f"{name}/fault" in self.memory, "a power cut would forget it"
            assert not self.relays[name].on or self.core.heaters[name].failure

    @invariant()
    def a_relay_that_sticks_takes_every_output_with_it(self) -> None:
        zones = self.core.zones if hasattr(self, "core") else {}
        if any(zone.fault and zone.fault.reason == "stuck-on" for zone in zones.values()):
            for name, relay in self.relays.items():
                assert not relay.on or self.core.heaters[name].failure

    @invariant()
    def never_on_for_longer_than_allowed(self) -> None:
        for name, relay in getattr(self, "relays", {}).items():
            if relay.on and not self.core.heaters[name].failure:
                stretch = self.time - relay.history[-1][0] + self.before_this(name)
                assert stretch < self.settings.heaters[name].max_on + 1000 * EPSILON, "restarts included"

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
