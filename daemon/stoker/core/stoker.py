"""One input and the time in, effects out. Nothing here waits, reads a clock or touches a device.

Flow: a reading goes to its thermometer, an order to its zone, a driver's answer to its heater. Then the heaters that
this concerns decide anew. What became of it is said once every driver that had to switch has answered, so what is said
is what is. Everything else is in the files beside this one.
"""

import contextlib
import math
from collections.abc import Mapping, Set
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from stoker.core import interlocks, presence, restarts, topics
from stoker.core.alive import Pulse
from stoker.core.autotune import Progress
from stoker.core.clock import WallClock
from stoker.core.figures import Counts, Figures, HeaterFigures, ZoneFigures
from stoker.core.heater import Heater
from stoker.core.messages import (
    Effect,
    Input,
    LinkDown,
    LinkUp,
    Message,
    Notice,
    Now,
    Order,
    Publish,
    Reading,
    ReadingFailed,
    Reason,
    Remember,
    ResetFault,
    Say,
    SayAlive,
    SetHeater,
    SetMode,
    Stop,
    Switched,
    SwitchFailed,
    SwitchHeater,
    Tick,
)
from stoker.core.preheat import Preheat, Rise
from stoker.core.process import Gains
from stoker.core.repeats import Repeats
from stoker.core.settings import Settings, stale_by_default
from stoker.core.taken import Taken
from stoker.core.thermometer import Doubts, Seen, Thermometer, Trouble, outliers, together
from stoker.core.zone import Decision, View, Zone

REMEMBERED: tuple[topics.Subject, ...] = ("mode", "target", "preset", "schedule")
TARGET_UNTIL = "target-until"  # Unix time; beside a target that was ordered in mode auto
PRESENCE = "presence"  # what is remembered of people
STRETCH = "heater:"  # and a heater's name: the key under which its stretch is remembered
HEATED = "heated"  # the key under which it is remembered when a zone's heater was on, Unix time
HEATED_LAG = 14400.0  # seconds; what is remembered of that is at most so old, and an SD card is spared
FAULT = "fault"  # the key under which a zone's latched fault is remembered, behind the zone's name
HISTORY = "history"  # the key under which it is remembered what a zone's readings said of its heater
OUTSIDE_STALE = 7200.0  # seconds; weather changes slowly
PRESENCE_LAG = 0.1  # of expire_after; what is remembered of people is at most so old, and an SD card is spared
SAME = ("event", "zone", "thermometer", "heater", "person", "topic", "reason")
"""Events with the same of these are the same event again."""
STATE_EVERY = 0.1  # seconds at least between two of `state`: nobody's hands are so quick, but a flood of orders is
LINK_DOWN_REPEAT = 3600.0  # seconds; while the broker is away the log says so again at most this often


class Kept(NamedTuple):
    """The names of the devices whose drivers go on as they are when the configuration is read anew."""

    thermometers: Set[str]
    heaters: Set[str]


class Stoker:
    """The whole device. `remembered` is what earlier `Remember` effects kept."""

    def __init__(self, settings: Settings, remembered: Mapping[str, str], now: Now) -> None:
        self.settings = settings
        self.routes = topics.Routes(settings)
        self.thermometers = {name: Thermometer(table, now.mono) for name, table in settings.thermometers.items()}
        self.heaters = {
            name: Heater(table, remembered.get(STRETCH + name), now) for name, table in settings.heaters.items()
        }
        self.zones = {
            name: Zone(name, table, settings.heaters[table.heater], settings.stale_after(name), settings.timezone)
            for name, table in settings.zones.items()
        }
        home = presence.Position(settings.presence.latitude, settings.presence.longitude)
        self.presence = presence.Presence(
            settings.presence.people,
            home,
            radius=settings.presence.radius,
            hysteresis=settings.presence.hysteresis,
            expire_after=settings.presence.expire_after,
        )
        self._zones_of = {
            heater: [zone for zone in self.zones.values() if zone.settings.heater == heater] for heater in self.heaters
        }
        self._heaters_of = {
            thermometer: list(
                {self.zones[zone].settings.heater: None for zone in self.zones if thermometer in self._of(zone)}
            )
            for thermometer in self.thermometers
        }
        self._people_on: dict[str, list[str]] = {}
        for person, topic in settings.presence.people.items():
            self._people_on.setdefault(topic, []).append(person)
        self._doubts = {name: Doubts() for name in self.zones}
        self._said: dict[str, bytes] = {}  # what is retained, what was said longest ago first
        self._explained: dict[str, tuple[object, ...]] = {}  # zone -> what only `state` says of it
        self._not_understood: dict[str, str] = {}  # person -> why, as the log last said it
        self._changed = True  # something that `state` doesn't show yet
        self._state_due = -math.inf  # when it may be said again
        self._awaited: set[str] = set()  # heaters whose driver has not answered yet
        self._to_say: dict[str, Zone] = {}
        self._to_confirm: set[str] = set()  # topics
        self._to_answer: list[tuple[Message, Zone, str]] = []
        self._broker: str | None = None  # connected to this one
        self._down_since = now.mono
        self._down_told: dict[str, float] = {}  # reason -> when the log last said it
        self._pulse, self._began = Pulse(settings.alive_every), now.mono
        self._counts = Counts()
        self._taken = {topic: Taken() for topic in self.routes.orders}
        self._events: Repeats[dict[str, Any]] = Repeats()
        self._lines: Repeats[Say] = Repeats()
        self._stopping = False
        self._out: list[Effect] = []
        self._now = now
        self._clock = WallClock(now)
        self._remembered = dict(remembered)  # as the store has it, of zones that are not configured now too
        self._presence_kept = now.mono
        self._restarts = restarts.Restarts(
            remembered.get(restarts.KEY), settings.max_restarts, settings.stable_after, now.mono
        )
        self._recall(remembered)

    # --- for the shell ------------------------------------------------------------------------------------------------

    def not_off(self) -> list[str]:
        """After a Stop: the heaters that did not confirm that they are off."""
        return [name for name, heater in self.heaters.items() if heater.on or heater.failure]

    def off_again(self) -> list[Effect]:
        """After a Stop: another attempt at those."""
        for name in self.not_off():
            self._switch(name)
        return self._effects()

    def handle(self, event: Input, now: Now) -> list[Effect]:
        """What to do about `event`, in this order. Answer each SwitchHeater at once, before the effects behind it."""
        self._now = now
        self._look_at_the_clocks()
        self._tell_how_many_more()
        match event:
            case Reading():
                self._take(event)
            case Message():
                self._message(event)
            case Tick():
                self._decide(*self._due())
            case Switched() | SwitchFailed():
                self._answered(event)
            case ReadingFailed():
                self._failed(event)
            case LinkUp() | LinkDown() | Notice():
                self._link(event)
            case Stop():
                self._stop()
        return self._effects()

    def next_deadline(self) -> float:
        """The monotonic time at which a Tick is due; infinity for never."""
        if self._stopping:
            return math.inf
        looks = (heater.decision.until for heater in self.heaters.values())
        state = self._state_due if self._changed else math.inf
        return min([self._pulse.deadline, self.presence.next_expiry(), state, *looks])

    def subscriptions(self) -> list[str]:
        """The topics on which orders come in."""
        return [*self.routes.orders, *self._people_on]

    def summary(self) -> str:
        """One line for a person: `room 20.1 °C, heating to 21; online`."""
        zones = ", ".join(self._summary(zone) for zone in self.zones.values()) or "no zones"
        return f"{zones}; {'online' if self._broker else 'offline'}"

    def figures(self, now: Now) -> Figures:
        """What can be counted and measured now."""
        fresh = {
            name: one.celsius
            for name, one in self.thermometers.items()
            if one.celsius is not None and now.mono < one.at + stale_by_default(one.settings.interval)
        }
        return Figures(
            connected=self._broker is not None,
            temperatures=fresh,
            heaters={
                name: HeaterFigures(heater.on, heater.heated(now.mono), bool(heater.failure))
                for name, heater in self.heaters.items()
            },
            zones={name: ZoneFigures(zone.aim.target, _standing_fault(zone)) for name, zone in self.zones.items()},
            obeyed=self._counts.obeyed,
            refused=dict(self._counts.refused),
            faults=dict(self._counts.faults),
        )

    def replace(self, settings: Settings, kept: Kept, now: Now) -> tuple["Stoker", list[Publish], list[Effect]]:
        """A new core for new settings that knows what this one knew; last words on topics that are no more; effects.

        A heater whose driver was not kept is off; what a thermometer that was not kept has said is forgotten.
        """
        new = Stoker(settings, self._remembered, now)
        new._broker, new._down_since, new._down_told = self._broker, self._down_since, self._down_told
        new._taken |= {topic: self._taken[topic] for topic in self._taken.keys() & new._taken.keys()}
        new._clock, new._restarts = self._clock, self._restarts
        new._restarts.settle(settings.max_restarts, settings.stable_after)
        new._began, new._counts, new._events, new._lines = self._began, self._counts, self._events, self._lines
        for name in self.thermometers.keys() & kept.thermometers:
            new.thermometers[name] = self.thermometers[name]
            new.thermometers[name].settings = settings.thermometers[name]
        for name in self.heaters.keys() & kept.heaters:
            new.heaters[name] = self.heaters[name]
            new.heaters[name].settings = settings.heaters[name]
            new.heaters[name].new_zones()
        for name in self.zones.keys() & new.zones.keys():
            new.zones[name].adopt(self.zones[name])
            if kept.thermometers >= set(new._of(name)) == set(self._of(name)):
                new._doubts[name] = self._doubts[name]
            if kept.thermometers >= set(new._of(name)) and new.zones[name].settings.heater in kept.heaters:
                new.zones[name].adopt_evidence(self.zones[name])
        new.presence.adopt(self.presence, now.mono)
        # An empty retained payload clears a topic.
        gone = [Publish(topic, b"", "state") for topic in self.routes.said() if topic not in new.routes.said()]
        if new._broker:
            new._say_online()
        for name in new.heaters.keys() - kept.heaters:
            new._switch(name)  # off; what its zones ask comes with the driver's answer
        new._decide(*new.heaters.keys() & kept.heaters)
        return new, gone, new._effects()

    # --- what happens -------------------------------------------------------------------------------------------------

    def _take(self, reading: Reading) -> None:
        if (thermometer := self.thermometers.get(reading.thermometer)) is None:
            return  # a last word of one that a reload took away
        if trouble := thermometer.take(reading):
            self._trouble(reading.thermometer, trouble)
        else:
            if topic := thermometer.settings.publish:
                measured = self._now.at(reading.at)
                self._out.append(Publish(topic, topics.celsius(reading.celsius), "reading", measured=measured))
            if thermometer.telling:
                thermometer.telling = False
                self._event("thermometer-recovered", thermometer=reading.thermometer)
                text = f"thermometer {reading.thermometer}: reads again, {reading.celsius:.2f} °C"
                self._log("info", text, thermometer=reading.thermometer)
                self._changed = True
        self._decide(*self._heaters_of[reading.thermometer])

    def _failed(self, failure: ReadingFailed) -> None:
        if thermometer := self.thermometers.get(failure.thermometer):
            self._trouble(failure.thermometer, thermometer.fail(failure))
            self._decide(*self._heaters_of[failure.thermometer])

    def _trouble(self, name: str, trouble: Trouble) -> None:
        if self.thermometers[name].worth_telling(trouble.reason, self._now.mono):
            self._event("thermometer-failed", thermometer=name, reason=trouble.reason, text=trouble.text)
            text = f"thermometer {name}: {trouble.reason}: {trouble.text}"
            self._log("warning", text, thermometer=name, reason=trouble.reason)
            self._changed = True

    def _message(self, message: Message) -> None:
        for person in self._people_on.get(message.topic, ()):
            self._person(person, message)
        if (route := self.routes.orders.get(message.topic)) is None:
            return
        name, subject = route
        zone = self.zones[name]
        try:
            payload, given = topics.living(message, zone.settings.order_lifetime, self._now)
            order = topics.understand(payload, name, subject, zone.settings)
            late = self._late(message, given, order)
            if why_not := zone.why_not(order):
                raise topics.OrderError("not-possible", why_not)
        except topics.OrderError as refusal:
            self._refuse(message, name, refusal)
            return
        nothing = isinstance(order, ResetFault) and not zone.fault
        if isinstance(order, ResetFault):
            self._tell_of_reset(zone)
        self._taken[message.topic].obeyed(message.payload, given, self._now.at(message.at).wall, self._now)
        zone.obey(order, self._now)
        self._confirm(self.routes.zones[name][subject])
        self._keep_orders(zone)
        self._counts.obeyed += 1
        self._log("info", f"{name}: ordered {subject} {topics.readable(payload.strip())}", zone=name)
        self._decide(*(self.heaters if subject == "fault" else [zone.settings.heater]))
        note = "nothing was latched" if nothing else late or zone.note(order, self._now)
        self._to_answer.append((message, zone, note))

    def _confirm(self, topic: str) -> None:
        """An order that was obeyed is always confirmed, by what is said next on its topic."""
        self._said.pop(topic, None)
        self._to_confirm.add(topic)

    def _late(self, message: Message, given: float | None, order: Order) -> str:
        """Raise OrderError where a later order was obeyed. One that only takes heat away is obeyed with a note."""
        try:
            self._taken[message.topic].judge(message.payload, given, self._now)
        except topics.OrderError as refusal:
            if order not in (SetHeater(order.zone, False), SetMode(order.zone, "off")):
                raise
            return f"obeyed, since it only takes heat away, although {refusal.reason}: {refusal}"
        return ""

    def _person(self, person: str, message: Message) -> None:
        try:
            what = presence.decode(message.payload)
        except ValueError as error:
            if str(error) != self._not_understood.get(person):
                self._not_understood[person] = str(error)
                self._log("warning", f"{person}: {error}", person=person)
            return
        self._not_understood.pop(person, None)
        if isinstance(what, presence.Position) and not (
            self.settings.presence.latitude or self.settings.presence.longitude
        ):
            return  # nobody said where home is; `stoker check` warns of that
        if what is None:
            return
        if news := self.presence.hear(person, what, self._now, message.retained):
            self._tell_of_person(person, news)
            self._decide(*self.heaters)
        elif self._now.mono - self._presence_kept >= self.presence.expire_after * PRESENCE_LAG:
            self._keep_presence()

    def _tell_of_person(self, person: str, news: str) -> None:
        self._event("presence", person=person, where=self.presence.where(person, self._now.mono))
        self._log("info", news, person=person)
        self._keep_presence()
        self._changed = True

    def _refuse(self, message: Message, zone: str, refusal: topics.OrderError) -> None:
        self._counts.refused[refusal.reason] += 1
        payload = topics.readable(message.payload)
        details = {"reason": refusal.reason, "text": str(refusal), "topic": message.topic, "payload": payload}
        self._event("order-refused", zone=zone, **details)
        self._log(
            "warning",
            f"{zone}: order {payload!r} refused, {refusal.reason}: {refusal}",
            zone=zone,
            reason=refusal.reason,
        )
        self._answer(message, {"ok": False, "zone": zone, **details})

    def _answer(self, message: Message, answer: dict[str, Any]) -> None:
        if not message.reply_to:
            return
        if self.routes.may_answer(message.reply_to):
            self._out.append(Publish(message.reply_to, topics.json(answer), "answer", message.correlation))
            return
        where = topics.readable(message.reply_to.encode())
        text = (
            f"no answer on {where!r}, as an order wants it: not a topic of answers. Let its sender take one of its own"
        )
        self._log("warning", text, reason="response-topic")

    # --- what is remembered

    def _keep(self, key: str, value: str | None) -> None:
        """Remember this from now on; None forgets it. What is remembered already is not written again."""
        if self._remembered.get(key) == value:
            return
        self._out.append(Remember(key, value))
        if value is None:
            del self._remembered[key]
        else:
            self._remembered[key] = value

    def _keep_orders(self, zone: Zone) -> None:
        """All but a boost, an order by hand and a tuning: these die with the program that holds their end."""
        orders = zone.orders
        self._keep(f"{zone.name}/mode", orders.mode)
        self._keep(f"{zone.name}/preset", None if orders.preset == "none" else orders.preset)
        self._keep(f"{zone.name}/schedule", orders.schedule.to_json().decode() if orders.schedule else None)
        self._keep_target(zone)

    def _keep_target(self, zone: Zone) -> None:
        target, until = zone.orders.target, zone.orders.target_until
        self._keep(f"{zone.name}/target", None if target is None else repr(target))
        self._keep(f"{zone.name}/{TARGET_UNTIL}", None if target is None or until == math.inf else repr(until))

    def _keep_heated(self, zone: Zone, lag: float = HEATED_LAG) -> None:
        if not abs(self._now.wall - _number(self._remembered.get(f"{zone.name}/{HEATED}"))) < lag:
            self._keep(f"{zone.name}/{HEATED}", f"{self._now.wall:.0f}")

    def _keep_history(self, zone: Zone) -> None:
        if not zone.fault and (history := zone.history.to_remember(self._now, self._stopping)):
            self._keep(f"{zone.name}/{HISTORY}", history)

    def _keep_stretch(self, heater: str) -> None:
        if stretch := self.heaters[heater].to_remember(self._now, self._stopping):
            self._keep(STRETCH + heater, stretch)

    def _keep_presence(self) -> None:
        self._presence_kept = self._now.mono
        self._keep(PRESENCE, self.presence.to_json().decode())

    def _recall(self, remembered: Mapping[str, str]) -> None:
        for name, zone in self.zones.items():
            if (fault := remembered.get(f"{name}/{FAULT}")) is not None:
                zone.fault = interlocks.recall(fault)
                self._log("warning", f"{name}: still latched, {zone.fault.reason}: {zone.fault.text}", zone=name)
            for subject in REMEMBERED:
                if (value := remembered.get(f"{name}/{subject}")) is not None:
                    self._recall_order(zone, subject, value)
            if (until := remembered.get(f"{name}/{TARGET_UNTIL}")) and zone.orders.target is not None:
                with contextlib.suppress(ValueError):
                    zone.orders.target_until = float(until)
            self._keep_orders(zone)  # so what no longer holds is forgotten
            self._recall_learnt(zone, remembered)
            if self._now.wall - _number(remembered.get(f"{name}/{HEATED}")) < 2 * zone.settings.stuck_on_after:
                zone.recall_heat()
            if history := remembered.get(f"{name}/{HISTORY}"):
                zone.recall_history(history, self._now)
        if kept := remembered.get(PRESENCE):
            self._recall_presence(kept)

    def _recall_learnt(self, zone: Zone, remembered: Mapping[str, str]) -> None:
        with contextlib.suppress(msgspec.MsgspecError, RecursionError):  # of another version: it is learnt anew
            told = remembered.get(f"{zone.name}/gains")
            if told and (gains := msgspec.json.decode(told, type=Gains)).possible():
                zone.tune(gains)
            if rises := remembered.get(f"{zone.name}/rises"):
                zone.preheat = Preheat(msgspec.json.decode(rises, type=list[Rise]))

    def _recall_presence(self, kept: str) -> None:
        try:
            self.presence.recall(kept.encode(), self._now)
        except ValueError as error:
            self._log("warning", f"what was remembered of presence is forgotten: {error}")
            self._keep(PRESENCE, None)

    def _recall_order(self, zone: Zone, subject: topics.Subject, value: str) -> None:
        try:
            zone.obey(topics.understand(value.encode(), zone.name, subject, zone.settings), self._now)
        except topics.OrderError as refusal:
            text = f"{zone.name}: the remembered {subject} {value} no longer holds: {refusal}"
            self._log("warning", text, zone=zone.name)
        else:
            own = getattr(zone.settings, subject, None) or "none"
            text = f"{zone.name}: {subject} {value} as last ordered; the configuration says {own}"
            self._log("info", text, zone=zone.name)

    def _link(self, event: LinkUp | LinkDown | Notice) -> None:
        match event:
            case LinkUp(broker, protocol):
                away = self._now.mono - self._down_since
                self._broker, self._down_told = broker, {}
                self._say_online()
                self._event("connected", broker=broker, offline_for=round(away))
                self._log("info", f"connected to {broker}, MQTT {protocol}", broker=broker)
            case LinkDown(reason, text, tries):
                if self._broker is not None:
                    self._event("disconnected", broker=self._broker, reason=reason, text=text)
                    self._broker, self._down_since = None, self._now.mono
                    self._pulse.rest()
                if self._now.mono - self._down_told.get(reason, -math.inf) >= LINK_DOWN_REPEAT:
                    self._down_told[reason] = self._now.mono
                    self._log("warning", f"no broker: {text}; trying again (failures: {tries})", reason=reason)
            case Notice(reason, text):
                self._event(reason, text=text)
                self._log("info" if reason == "dropped" else "warning", text, reason=reason)

    def _answered(self, event: Switched | SwitchFailed) -> None:
        self._awaited.discard(event.heater)
        if (heater := self.heaters.get(event.heater)) is None:
            return
        match event:
            case Switched(name, on):
                if heater.failure:
                    self._event("fault-cleared", heater=name, reason=Reason.SWITCH_FAILED)
                    self._log("info", f"heater {name}: switches again", heater=name, reason=Reason.SWITCH_FAILED)
                heater.switched(on, self._now.mono)
            case SwitchFailed(name, text):
                if not heater.failure:
                    self._event("fault", heater=name, reason=Reason.SWITCH_FAILED, text=text)
                    text = f"heater {name}: {text}; trying off again"
                    self._log("error", text, heater=name, reason=Reason.SWITCH_FAILED)
                heater.failed(text, self._now.mono)
        self._decide(event.heater)

    def _stop(self) -> None:
        self._stopping = True
        self._keep_count(self._restarts.stopping())
        stopping = Decision(False, Reason.STOPPING, "stoker is stopping", fault=True)
        for heater in self.heaters.values():
            heater.decision = stopping
        for zone in self.zones.values():
            zone.wish = stopping
            self._keep_history(zone)
        self._to_say.update(self.zones)
        for name in self.heaters:
            self._switch(name)

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _due(self) -> list[str]:
        return [name for name, heater in self.heaters.items() if heater.decision.until <= self._now.mono]

    def _decide(self, *heaters: str) -> None:
        stuck = self._stuck()
        for name in heaters:
            zones = self._zones_of[name]
            self._keep_stretch(name)
            self._to_say.update((zone.name, zone) for zone in zones)
            if self._stopping:
                continue
            heater = self.heaters[name]
            heater.decide([self._ask(zone, stuck) for zone in zones], self._now.mono)
            if heater.must_switch(self._now.mono):
                self._switch(name)
        if self._stuck() != stuck:
            self._decide(*self.heaters)  # a relay that sticks takes every other output with it

    def _stuck(self) -> list[str]:
        return [zone.name for zone in self.zones.values() if zone.fault and zone.fault.reason is Reason.STUCK_ON]

    def _ask(self, zone: Zone, stuck: list[str]) -> Decision:
        before, latched = zone.forbidding, zone.fault
        elsewhere = ", ".join(name for name in stuck if name != zone.name)
        relay, now = self.heaters[zone.settings.heater].relay(self._now.mono), self._now.mono
        around = interlocks.Around(relay, self._restarts.text(now), elsewhere)
        several = {name: self.thermometers[name] for name in self._of(zone.name)}
        seen = together(several, self._doubts[zone.name], zone.stale_after, now)
        doubts = outliers(several, self._doubts[zone.name], seen, zone.stale_after, now)
        self._tell_outliers(zone.name, doubts, seen)
        tuning, rises = zone.tuning.progress if zone.tuning else None, len(zone.preheat.rises)
        wish = zone.decide(self._view(zone, seen), self._now, around)
        self._keep_target(zone)  # which ends by itself
        self._keep_history(zone)
        if relay.on:
            self._keep_heated(zone)
        self._tell_learnt(zone, tuning, rises)
        if zone.forbidding is not before and before and before.fault:
            self._event("fault-cleared", zone=zone.name, reason=before.reason)
        if zone.fault is not latched and zone.fault:
            zone.fault = structs.replace(zone.fault, time=topics.stamp(self._now.wall))
            self._keep(f"{zone.name}/{FAULT}", topics.json(zone.fault).decode())
            self._tell_of_fault(zone, latched=True)
        elif zone.forbidding is not before and zone.forbidding and zone.forbidding.fault:
            self._tell_of_fault(zone, latched=zone.fault is not None)
        return wish

    def _tell_of_fault(self, zone: Zone, latched: bool) -> None:
        reason, text = zone.wish.reason, zone.wish.text
        self._counts.faults[zone.name, str(reason)] += 1
        self._event("fault", zone=zone.name, reason=reason, text=text, latched=latched, celsius=zone.celsius)
        if latched:
            self._log("error", f"{zone.name}: {reason}: {text}; off until a reset", zone=zone.name, reason=reason)

    def _tell_of_reset(self, zone: Zone) -> None:
        if fault := zone.fault:
            self._keep(f"{zone.name}/{FAULT}", None)
            self._keep(f"{zone.name}/{HISTORY}", None)
            self._keep_heated(zone, lag=0.0)  # so that a restart doesn't end the doubt
            self._event("fault-reset", zone=zone.name, **structs.asdict(fault) | {"since": fault.time})
            self._log("info", f"{zone.name}: {fault.reason} of {fault.time} was reset", zone=zone.name)

    def _look_at_the_clocks(self) -> None:
        """What is another because time has passed, or was set."""
        self._keep_count(self._restarts.stable(self._now.mono))
        if self._awaited:
            return  # a driver's answer belongs to the pass before
        if jump := self._clock.jumped(self._now):
            text = f"the wall clock was set {abs(jump):.0f} s {'forward' if jump > 0 else 'back'}"
            self._event(Reason.CLOCK_JUMP, seconds=round(jump), text=text)
            self._log("info", text, reason=Reason.CLOCK_JUMP)
            self._decide(*self.heaters)  # what looks at the wall clock looks again
        if expired := self.presence.expire(self._now.mono):
            for person in expired:
                self._tell_of_person(person, f"where {person} is, is unknown: nothing was heard for too long")
            self._decide(*self.heaters)

    def _keep_count(self, write: restarts.Write | None) -> None:
        if write:
            self._keep(restarts.KEY, write.value)

    def _view(self, zone: Zone, seen: Seen) -> View:
        outside = self.thermometers.get(zone.settings.outside)
        fresh = outside and self._now.mono < outside.at + OUTSIDE_STALE
        return View(
            seen=seen,
            outside=outside.celsius if outside and fresh else None,
            away=self.presence.everybody_away(self._now.mono),
            relay_on=self.heaters[zone.settings.heater].on,
        )

    def _tell_learnt(self, zone: Zone, before: Progress | None, rises: int) -> None:
        """Keep what the zone has learnt, and say how a tuning goes."""
        progress = zone.tuning and zone.tuning.progress
        if progress and progress != before:
            details = {"share": progress.share, "text": progress.text, "ended": progress.ended}
            self._event("tuning", zone=zone.name, **details)
            self._log("info", f"{zone.name}: tuning: {progress.text}", zone=zone.name)
            if progress.gains:
                self._keep(f"{zone.name}/gains", topics.json(progress.gains).decode())
        if len(zone.preheat.rises) != rises:
            self._keep(f"{zone.name}/rises", topics.json(list(zone.preheat.rises)).decode())

    def _of(self, zone: str) -> tuple[str, ...]:
        return self.settings.thermometers_of(zone)

    def _tell_outliers(self, zone: str, doubts: Doubts, seen: Seen) -> None:
        for name in doubts.liars:
            if name not in self._doubts[zone].liars:
                text = f"differs from the {seen.celsius:.2f} °C that count in zone {zone}, so it doesn't count there"
                self._trouble(name, Trouble("outlier", text))
        self._doubts[zone] = doubts

    def _switch(self, heater: str) -> None:
        decision = self.heaters[heater].decision
        if decision.on:
            self._keep_count(self._restarts.heating(self._now.mono))
        self._awaited.add(heater)
        self._out.append(SwitchHeater(heater, decision.on, decision.reason))

    # --- what is said -------------------------------------------------------------------------------------------------

    def _effects(self) -> list[Effect]:
        if not self._awaited:
            for zone in self._to_say.values():
                self._explain(zone)
                self._say_zone(zone)
            for message, zone, note in self._to_answer:
                worth = {"note": note} if note else {}
                self._answer(message, {"ok": True, "zone": zone.name, **worth, **self._zone_state(zone)})
            self._to_say.clear()
            self._to_answer.clear()
            self._say_state()
            if self._stopping:
                self._say(self.routes.availability, b"offline")
            elif self._pulse.beat(self._now.mono):
                beside, self._out = self._out, []
                self._say_alive()  # first: what goes with it does not wait yet
                self._out += beside
                self._say_some_anew()
        out, self._out = self._out, []
        return out

    def _explain(self, zone: Zone) -> None:
        """Note what became of a zone's wish, and log it where that is news."""
        heater = self.heaters[zone.settings.heater]
        held = heater.decision.reason in (Reason.SHORT_CYCLE, Reason.SWITCH_FAILED)
        decision = heater.decision if held else zone.wish
        if not decision.same_as(zone.decision):
            fault = (zone.forbidding is not None and zone.forbidding.fault) or bool(heater.failure)
            text = f"{zone.name}: heater {'on' if heater.on else 'off'}, {decision.reason}: {decision.text}"
            seen = {} if zone.celsius is None else {"temperature": f"{zone.celsius:.2f}"}
            self._log("warning" if fault else "info", text, zone=zone.name, reason=decision.reason, **seen)
        zone.decision = decision

    def _say(self, topic: str, payload: bytes) -> None:
        if self._said.get(topic) != payload:
            self._changed = True
            self._retain(topic, payload)

    def _retain(self, topic: str, payload: bytes) -> None:
        self._said.pop(topic, None)
        self._said[topic] = payload
        self._out.append(Publish(topic, payload, "state", confirms=topic in self._to_confirm))
        self._to_confirm.discard(topic)

    def _say_zone(self, zone: Zone) -> None:
        routes, heater = self.routes.zones[zone.name], self.heaters[zone.settings.heater]
        self._say(routes["heater"], b"ON" if heater.on else b"OFF")
        self._say(routes["action"], self._action(zone).encode())
        self._say(routes["reason"], zone.decision.reason.encode())
        self._say(routes["mode"], zone.mode.encode())
        self._say(routes["target"], topics.setpoint(zone.aim.target))
        self._say(routes["preset"], zone.aim.preset.encode())
        # Where there is none, or none any more: an empty retained payload clears what an earlier run may have said.
        self._say(routes["tune"], _tuning(zone).encode() if zone.pi else b"")
        self._say(routes["schedule"], zone.schedule.to_json() if zone.schedule else b"")
        self._say(routes["fault"], zone.fault.reason.encode() if zone.fault else b"none")
        if self._explained.get(zone.name) != (explained := (zone.aim.because, zone.by_hand)):
            self._explained[zone.name] = explained
            self._changed = True

    def _action(self, zone: Zone) -> str:
        if self.heaters[zone.settings.heater].on:
            return "heating"
        return "off" if zone.off else "idle"

    def _say_online(self) -> None:
        """After each connection everything is said anew: the broker may have forgotten it."""
        self._said.clear()
        self._state_due = -math.inf
        self._say(self.routes.availability, b"online")
        self._pulse.start(self._now.mono)
        self._say_alive()
        self._to_say.update(self.zones)

    def _say_alive(self) -> None:
        if not self._pulse.every:
            self._say(self.routes.alive, b"")  # clears what another configuration said
            return
        figures = {
            "time": topics.stamp(self._now.wall),
            "synchronised": self._now.synchronised,
            "every": self._pulse.every,
            "running": round(self._now.mono - self._began),
            "orders": {"obeyed": self._counts.obeyed, "refused": dict(self._counts.refused)},
        }
        self._out.append(SayAlive(self.routes.alive, figures))

    def _say_some_anew(self) -> None:
        """A broker may forget what it retained: a cluster may keep it on one node. So all of it comes again in turn."""
        share = math.ceil(len(self._said) * self._pulse.share)
        for topic, payload in list(islice(self._said.items(), share)):
            self._retain(topic, payload)

    def _say_state(self) -> None:
        if not self._changed or (self._now.mono < self._state_due and not self._stopping):
            return
        self._changed, self._state_due = False, self._now.mono + STATE_EVERY
        state = {
            "device": self.settings.device,
            "time": topics.stamp(self._now.wall),
            "zones": {name: self._zone_state(zone) for name, zone in self.zones.items()},
            "thermometers": {name: self._thermometer_state(name) for name in self.thermometers},
            "presence": self.presence.state(self._now.mono),
        }
        self._retain(self.routes.state, topics.json(state))

    def _zone_state(self, zone: Zone) -> dict[str, Any]:
        by_hand = zone.by_hand and ("ON" if zone.by_hand.on else "OFF")
        return {
            "mode": zone.mode,
            "target": zone.aim.target,
            "because": zone.aim.because,
            "preset": zone.aim.preset,
            "heater": "ON" if self.heaters[zone.settings.heater].on else "OFF",
            "by_hand": by_hand,
            "action": self._action(zone),
            "reason": zone.decision.reason,
            "text": zone.decision.text,
            "fault": zone.fault and structs.asdict(zone.fault),
        }

    def _thermometer_state(self, name: str) -> dict[str, Any]:
        """No temperature: this is retained, and a temperature that outlives its moment lies."""
        thermometer = self.thermometers[name]
        trouble = thermometer.trouble.reason if thermometer.trouble and thermometer.telling else None
        return {"topic": thermometer.settings.publish, "trouble": trouble}

    def _summary(self, zone: Zone) -> str:
        celsius = self.thermometers[self._of(zone.name)[0]].celsius
        seen = "-" if celsius is None else f"{celsius:.1f} °C"
        doing = f"heating to {zone.aim.target:g}" if self._action(zone) == "heating" else zone.decision.reason
        return f"{zone.name} {seen}, {doing}"

    def _event(self, event: str, **details: Any) -> None:
        """Tell it, unless the same was told often enough in this minute."""
        table = {"event": event, **details, "time": topics.stamp(self._now.wall)}
        same = tuple(table.get(name) for name in SAME)
        if self._events.worth_telling(same, table, self._now.mono):
            self._out.append(Publish(self.routes.event, topics.json(table), "event", measured=self._now))

    def _log(self, level: Any, text: str, **fields: str) -> None:
        line = Say(level, text, fields)
        if self._lines.worth_telling((level, *fields.items()), line, self._now.mono):
            self._out.append(line)

    def _tell_how_many_more(self) -> None:
        for first, more in self._events.over(self._now.mono):
            told = {name: first[name] for name in SAME if name in first}
            text = f"… and {more} more like it in the last minute"
            table = {**told, "text": text, "more": more, "time": topics.stamp(self._now.wall)}
            self._out.append(Publish(self.routes.event, topics.json(table), "event", measured=self._now))
        for line, more in self._lines.over(self._now.mono):
            text = f"{line.text} … and {more} more like it in the last minute"
            self._out.append(Say(line.level, text, line.fields))


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _standing_fault(zone: Zone) -> str:
    if zone.fault:
        return str(zone.fault.reason)
    return str(zone.forbidding.reason) if zone.forbidding and zone.forbidding.fault else ""


def _tuning(zone: Zone) -> str:
    """`idle`, or how the last tuning goes or went."""
    if zone.tuning is None:
        return f"tuned: kp {zone.gains.kp:.3g}/K, ti {zone.gains.ti:.0f} s" if zone.gains else "idle"
    return f"{zone.tuning.progress.share:.0%}: {zone.tuning.progress.text}"
