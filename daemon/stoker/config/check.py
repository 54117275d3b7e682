"""The sections of the configuration and the rules between their keys."""

import functools
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, tzinfo
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec import Struct
from msgspec.structs import fields, replace

from stoker.config import words
from stoker.config.files import File
from stoker.config.model import (
    Base,
    Config,
    ConfigError,
    Device,
    DriverChoice,
    Drivers,
    Key,
    Metrics,
    OptionsOf,
    Wall,
    default_state_dir,
)
from stoker.config.spans import show_seconds
from stoker.config.tree import NAME_LENGTH, S, Tree, is_name, names
from stoker.config.unwise import unwise
from stoker.core import schedule
from stoker.core import settings as core
from stoker.core.topics import Routes
from stoker.link import credentials
from stoker.link.settings import Backlog, Mqtt, WebSocket, ping_after
from stoker.link.settings import File as SecretFile
from stoker.link.wellformed import TOPIC_BYTES, is_topic

LONG_ON = 86400.0  # seconds on at a stretch; so is more than this
LATE = 43200.0  # seconds; so is a heater without effect that is noticed later than this
HOT = 60.0  # °C; a zone that may get warmer than this is worth a warning
FAR = 20.0  # K; so is one that may get warmer by more than this than anybody can order
LONG_STALE = 1800.0  # seconds; so is one that trusts a reading for longer than this


class Check(Tree):
    """From the tree to a Config, or to everything that is wrong."""

    def __init__(self, files: list[File], guest: bool) -> None:
        super().__init__(files)
        self._guest = guest

    def config(self, drivers: Drivers) -> Config:
        """Return the whole, or raise ConfigError."""
        self._only(
            (), {"device", "mqtt", "backlog", "thermometers", "heaters", "zones", "topics", "presence", "metrics"}
        )
        device, wall = self._device()
        mqtt, base = self._mqtt(device.id)
        metrics = self._table_as(("metrics",), Metrics) or Metrics()
        backlog = self._table_as(("backlog",), Backlog) or Backlog()
        thermometers, thermometer_drivers = self._driven("thermometers", core.Thermometer, drivers.thermometer)
        heaters, heater_drivers = self._driven("heaters", core.Heater, drivers.heater)
        settings = core.Settings(
            device=device.id,
            base=base.base,
            alive_every=base.alive_every,
            thermometers=self._published(thermometers, thermometer_drivers),
            heaters=heaters,
            zones=self._zones(),
            topics=self._table_as(("topics",), core.Topics) or core.Topics(),
            max_restarts=device.max_restarts,
            stable_after=device.stable_after,
            presence=self._table_as(("presence",), core.Presence) or core.Presence(),
            timezone=self._timezone(wall.timezone),
        )
        self._check_thermometers(settings)
        self._check_pins(heater_drivers)
        self._check_zones(settings)
        self._check_topics(settings, thermometer_drivers)
        if self._problems or mqtt is None:
            raise ConfigError(tuple(self._located(self._problems)))
        self._warn_of_mqtt(mqtt)
        self._warn_of_keepalive(mqtt.keepalive, settings.shortest_order_lifetime)
        self._warn_of_metrics(metrics)
        self._warn_of_zones(settings)
        self._warn_of_devices(settings)
        self._warn_of_limits(settings)
        self._warn_of_presence(settings.presence)
        return Config(
            core=settings,
            mqtt=mqtt,
            metrics=metrics,
            backlog=backlog,
            thermometers=thermometer_drivers,
            heaters=heater_drivers,
            state_dir=Path(device.state_dir),
            clock_trusted=wall.clock == "trusted",
            files=tuple(file.path for file in self._files),
            warnings=tuple(map(str, self._located(self._warnings))),
        )

    # --- sections

    def _device(self) -> tuple[Device, Wall]:
        """[device], its defaults filled in."""
        self._only(("device",), names(Device) | names(Wall))
        device = self._struct(("device",), Device) or Device()
        wall = self._struct(("device",), Wall) or Wall()
        if device.id and not is_name(device.id, words.LETTERS | {"."}):
            rule = f"letters, digits, -, _ and dots, at most {NAME_LENGTH}"
            self._problem(f"found {words.quote(device.id)}; allowed: {rule}", ("device", "id"))
            device = replace(device, id="")
        found = replace(device, id=device.id or _host_name(), state_dir=device.state_dir or str(default_state_dir()))
        return found, wall

    def _timezone(self, name: str) -> tzinfo:
        try:
            return ZoneInfo(name) if name else _system_timezone()
        except (ZoneInfoNotFoundError, OSError, ValueError):
            guess = words.did_you_mean(name, available_timezones())
            allowed = "a name such as Europe/Berlin that this system knows"
            self._problem(f"found {words.quote(name)}; allowed: {allowed}{guess}", ("device", "timezone"))
            return UTC

    def _mqtt(self, device: str) -> tuple[Mqtt | None, Base]:
        """[mqtt] and what its topics begin with."""
        key = ("mqtt",)
        self._only(key, names(Mqtt) | names(Base))
        mqtt, base = self._struct(key, Mqtt), self._struct(key, Base) or Base()
        return mqtt, replace(base, base=base.base or f"stoker/{device}")

    def _driven(
        self, section: str, kind: type[S], options_of: OptionsOf
    ) -> tuple[dict[str, S], dict[str, DriverChoice]]:
        """[thermometers] or [heaters]: what the core is told, and the drivers with their options."""
        settings: dict[str, S] = {}
        choices: dict[str, DriverChoice] = {}
        for name in self._named(section):
            key = (section, name)
            if setting := self._struct(key, kind):
                settings[name] = setting
            if (options_type := self._options_type(key, options_of)) is None:
                continue  # so nobody knows which keys it takes
            self._only(key, {"driver"} | names(kind) | names(options_type))
            if options := self._struct(key, options_type):
                choices[name] = DriverChoice(self._table(key)["driver"], options)
        return settings, choices

    def _options_type(self, key: Key, options_of: OptionsOf) -> type[Struct] | None:
        name = self._table(key).get("driver", "")
        try:
            return options_of(name if isinstance(name, str) else "")
        except Exception as error:  # whatever a driver of others raises is one line here
            here = (*key, "driver")
            known: list[str] | None = getattr(error, "known", None)
            if known is None:
                text = f"{words.found(here, name)}: {words.one_line(error)}"
            else:
                found = words.found(here, name) if here in self._origin else "missing"
                text = f"{found}; allowed: {words.listed(map(words.quote, known))}{words.did_you_mean(name, known)}"
            self._problem(text, here)
            return None

    def _zones(self) -> dict[str, core.Zone]:
        zones = {name: self._table_as(("zones", name), core.Zone) for name in self._named("zones")}
        return {name: zone for name, zone in zones.items() if zone}

    def _published(
        self, thermometers: dict[str, core.Thermometer], choices: dict[str, DriverChoice]
    ) -> dict[str, core.Thermometer]:
        """What nobody chose. The topic: TEMPERATURE for the only one; what another device said is not said again.

        And how fast a temperature may change: one that arrives may leap, since nobody knows what it is or how often.
        """
        for name, settings in thermometers.items():
            listens = name in choices and _listens_to(choices[name])
            if listens and ("thermometers", name, "max_rate") not in self._origin:
                thermometers[name] = replace(settings, max_rate=0.0)
        own = [name for name in thermometers if name in choices and not _listens_to(choices[name])]
        topics = {name: f"TEMPERATURE/{name}" for name in own} if len(own) > 1 else dict.fromkeys(own, "TEMPERATURE")
        chosen = {name for name in own if ("thermometers", name, "publish") in self._origin}
        for name in topics.keys() - chosen:
            thermometers[name] = replace(thermometers[name], publish=topics[name])
        return thermometers

    # --- rules between keys

    def _check_thermometers(self, settings: core.Settings) -> None:
        if not (self._guest or self._table(("thermometers",))):
            self._problem("missing; allowed: at least one table [thermometers.NAME]", ("thermometers",))
        for name, own in settings.thermometers.items():
            if own.minimum >= own.maximum:
                text = f"found minimum {own.minimum:g}; allowed: below maximum {own.maximum:g}"
                self._problem(text, ("thermometers", name, "minimum"), ("thermometers", name, "maximum"))

    def _check_pins(self, choices: dict[str, DriverChoice]) -> None:
        pins: dict[str, str] = {}
        for name, choice in choices.items():
            pin = getattr(choice.options, "pin", None)
            if pin is None:
                continue
            other = pins.setdefault(f"{choice.name} {pin} {getattr(choice.options, 'chip', '')}", name)
            if other != name:
                text = f"found {pin}, two heaters on one pin; allowed: another than that of heaters.{other}"
                self._problem(text, ("heaters", name, "pin"))

    def _check_zones(self, settings: core.Settings) -> None:
        for name, zone in settings.zones.items():
            key = ("zones", name)
            several = settings.thermometers_of(name)
            if not several:
                self._problem("found an empty list; allowed: a thermometer, or several", (*key, "thermometer"))
            for one in several:
                self._check_reference((*key, "thermometer"), one, "thermometers")
                if thermometer := settings.thermometers.get(one):
                    self._check_limit(key, zone, one, thermometer)
            self._check_reference((*key, "heater"), zone.heater, "heaters")
            if zone.outside:
                self._check_reference((*key, "outside"), zone.outside, "thermometers")
            self._check_targets(key, zone)
            self._check_presets(key, zone)
            self._check_schedule(key, zone)

    def _check_reference(self, key: Key, name: str, section: str) -> None:
        known = self._table((section,))
        if name not in known:
            allowed = f"a table in [{section}]: {words.listed(map(words.quote, known))}"
            self._problem(f"found {words.quote(name)}; allowed: {allowed}{words.did_you_mean(name, known)}", key)

    def _check_targets(self, key: Key, zone: core.Zone) -> None:
        target, low, high = (*key, "target"), (*key, "target_min"), (*key, "target_max")
        if zone.target_min > zone.target_max:
            text = f"found target_min {zone.target_min:g}; allowed: up to target_max {zone.target_max:g}"
            self._problem(text, low, high)
        elif not zone.target_min <= zone.target <= zone.target_max:
            limits = f"target_min {zone.target_min:g} to target_max {zone.target_max:g}"
            near = low if zone.target < zone.target_min else high
            self._problem(f"found target {zone.target:g}; allowed: {limits}", target, near)
        if zone.target_max >= zone.max_temperature:
            text = f"found target_max {zone.target_max:g}; allowed: below max_temperature {zone.max_temperature:g}"
            self._problem(text, high, (*key, "max_temperature"))

    def _check_presets(self, key: Key, zone: core.Zone) -> None:
        """Those that somebody chose; a default is brought within the limits of its zone."""
        for name in names(core.Presets):
            here, target = (*key, "presets", name), getattr(zone.presets, name)
            if here in self._origin and not zone.target_min <= target <= zone.target_max:
                limits = f"target_min {zone.target_min:g} to target_max {zone.target_max:g}"
                self._problem(f"found {target:g}; allowed: {limits}", here)

    def _check_schedule(self, key: Key, zone: core.Zone) -> None:
        here = (*key, "schedule")
        try:
            if here in self._origin:
                schedule.parse(zone.schedule, zone.target_min, zone.target_max)
        except ValueError as error:
            blamed = str(error).partition(" ")[0].strip('"')
            self._problem(str(error), (*here, blamed) if (*here, blamed) in self._origin else here)

    def _check_limit(self, key: Key, zone: core.Zone, name: str, thermometer: core.Thermometer) -> None:
        """A temperature that the thermometer takes for implausible is never seen as too high."""
        if zone.max_temperature >= thermometer.maximum:
            whose = f"thermometers.{name}.maximum {thermometer.maximum:g}"
            text = f"found max_temperature {zone.max_temperature:g}; allowed: below {whose}, or it is never seen"
            self._problem(text, (*key, "max_temperature"), ("thermometers", name, "maximum"))

    # --- topics

    def _check_topics(self, settings: core.Settings, choices: dict[str, DriverChoice]) -> None:
        """Each topic by itself; then, where each is one, that no two are the same."""
        heard = [(("thermometers", name, "topic"), _listens_to(choice)) for name, choice in choices.items()]
        said = [(("thermometers", name, "publish"), own.publish) for name, own in settings.thermometers.items()]
        heard += [(("presence", "people", name), topic) for name, topic in settings.presence.people.items()]
        heard, said = [each for each in heard if each[1]], [each for each in said if each[1]]
        good = [self._check_template(key, topic) for key, topic in ((("mqtt", "base"), settings.base), *said)]
        good += [self._check_topic(topic, key) for key, topic in heard]
        for field in fields(core.Topics):
            names = ("base", "device", "zone") if "{zone}" in field.default else ("base", "device")
            good.append(self._check_template(("topics", field.name), getattr(settings.topics, field.name), names))
        if all(good):
            self._check_collisions([*_routes(settings), *said], heard)

    def _check_collisions(self, said: Iterable[tuple[Key, str]], heard: Iterable[tuple[Key, str]]) -> None:
        taken: dict[str, Key] = {}
        for key, topic in said:
            self._check_topic(topic, key, ("mqtt", "base"))  # filled in, it may be too long
            if topic in taken:
                self._check_collision(key, taken[topic], topic)
            taken.setdefault(topic, key)
        for key, topic in heard:  # two may follow one topic
            if topic in taken:
                self._check_collision(key, taken[topic], topic)

    def _check_template(self, key: Key, template: str, names: tuple[str, ...] = ()) -> bool:
        rest = template
        for name in names:
            rest = rest.replace(f"{{{name}}}", "x")
        if "{" not in rest and "}" not in rest:
            return self._check_topic(template, key)
        placeholders = words.listed(f"{{{name}}}" for name in names)
        self._problem(f"found {words.quote(template)}; allowed in braces: {placeholders}", key)
        return False

    def _check_topic(self, topic: str, *keys: Key) -> bool:
        if is_topic(topic) and not topic.startswith("$"):
            return True
        rule = f"an MQTT topic: 1 to {TOPIC_BYTES} bytes, printable, without + and #, no $ in front"
        self._problem(f"found {words.quote(topic)}; allowed: {rule}", *keys)
        return False

    def _check_collision(self, key: Key, other: Key, topic: str) -> None:
        if key == other:
            text = f"found {words.quote(self._value(key))} for more than one zone; allowed: a topic with {{zone}}"
            self._problem(text, key)
        elif key in self._origin or other not in self._origin:
            self._problem(_same_topic(topic, other), key, ("mqtt", "base"))
        else:
            self._problem(_same_topic(topic, key), other)

    # --- legal, and dangerous

    def _warn_of_mqtt(self, mqtt: Mqtt) -> None:
        if not mqtt.tls.enabled and not all(_is_loopback(broker.address[0]) for broker in mqtt.brokers):
            text = "TLS is off: everybody on the way can read the password and give orders"
            self._warning(text, ("mqtt", "tls", "enabled"))
        self._warn_of_login(mqtt)
        if mqtt.tls.enabled:
            self._warn_of_file(("mqtt", "tls", "ca_file"), mqtt.tls.ca_file)
            self._warn_of_file(("mqtt", "tls", "cert_file"), mqtt.tls.cert_file)
            self._warn_of_file(("mqtt", "tls", "key_file"), mqtt.tls.key_file, private=True)
            self._warn_of_secret(("mqtt", "tls", "key_password_file"), mqtt.tls.key_password_file)
        if mqtt.tls.enabled and mqtt.tls.insecure:
            text = "the broker is not verified: whoever stands between can read the password and give orders"
            self._warning(text, ("mqtt", "tls", "insecure"))
        self._warn_of_detours(mqtt)

    def _warn_of_keepalive(self, keepalive: float, lifetime: float) -> None:
        """A line that nobody tests for longer than an order lives brings dead orders."""
        if 1.5 * keepalive > lifetime:
            each = show_seconds(ping_after(keepalive, lifetime))
            text = f"{show_seconds(keepalive)} is long for orders that live {show_seconds(lifetime)} (order_lifetime)"
            self._warning(f"{text}: the line is tested each {each} all the same", ("mqtt", "keepalive"))

    def _warn_of_detours(self, mqtt: Mqtt) -> None:
        if mqtt.proxy_password_file and "@" not in mqtt.proxy:
            self._warning("no password is sent without a user in proxy", ("mqtt", "proxy_password_file"))
        else:
            self._warn_of_secret(("mqtt", "proxy_password_file"), mqtt.proxy_password_file)
        if mqtt.transport != "websockets" and mqtt.websocket != WebSocket():
            self._warning('means nothing without transport = "websockets"', ("mqtt", "websocket"))
        for name, value in mqtt.websocket.headers.items():
            if isinstance(value, SecretFile):
                self._warn_of_secret(("mqtt", "websocket", "headers", name), value.file)

    def _warn_of_metrics(self, metrics: Metrics) -> None:
        if not metrics.port:
            return
        if not _is_loopback(metrics.address):
            text = "everybody who reaches this address can read the figures, and nothing is encrypted"
            self._warning(text, ("metrics", "address"))
        if find_spec("prometheus_client") is None:
            text = "the Python package prometheus_client is missing: install stoker[metrics]"
            self._warning(f"{text}, or Debian's python3-prometheus-client", ("metrics", "port"))

    def _warn_of_login(self, mqtt: Mqtt) -> None:
        key = ("mqtt", "password_file")
        if not mqtt.username:
            if mqtt.password_file:
                self._warning("no password is sent without a username", key)
        elif mqtt.password_file:
            self._warn_of_secret(key, mqtt.password_file)
        elif not os.access(credentials.place("mqtt.password"), os.R_OK):
            text = "a user without a password: name its file with password_file, or give a credential mqtt.password"
            self._warning(text, ("mqtt", "username"))

    def _warn_of_secret(self, key: Key, name: str) -> None:
        """A file with a secret in it: a whole path, or the name of a systemd credential."""
        if name.startswith("/"):
            self._warn_of_file(key, name, private=True)
        elif name and not os.access(credentials.place(name), os.R_OK):
            self._warning("not a whole path, so a systemd credential, and there is none of this name", key)

    def _warn_of_file(self, key: Key, name: str, private: bool = False) -> None:
        """Its name is not shown: somebody may have written the password itself there."""
        if not name:
            return
        try:
            mode = Path(name).stat().st_mode
        except (OSError, ValueError) as error:  # ValueError: a NUL in it
            why = error.strerror if isinstance(error, OSError) else "no such file"
            self._warning(f"this file cannot be read now: {why}", key)
            return
        if not os.access(name, os.R_OK):
            self._warning("this file cannot be read now: not by this user", key)
        if private and mode & 0o004:
            self._warning("everybody on this computer can read this file: chmod o= FILE", key)

    def _warn_of_presence(self, presence: core.Presence) -> None:
        if presence.people and not (presence.latitude or presence.longitude):
            text = "without latitude and longitude of home only home and not_home are understood"
            self._warning(text, ("presence", "people"))

    def _warn_of_zones(self, settings: core.Settings) -> None:
        for name, zone in settings.zones.items():
            key, several = ("zones", name), settings.thermometers_of(name)
            slowest = max(several, key=lambda one: settings.thermometers[one].interval)
            interval = ("thermometers", slowest, "interval")
            if zone.mode == "auto" and not zone.schedule:
                self._warning("mode auto without a schedule: the target counts until one is ordered", (*key, "mode"))
            if zone.max_temperature > HOT:
                text = f"{zone.max_temperature:g} °C lets this zone become dangerously hot; {HOT:g} or less is wise"
                self._warning(text, (*key, "max_temperature"))
            elif zone.max_temperature > zone.target_max + FAR:
                text = f"{zone.max_temperature:g} °C is far above target_max {zone.target_max:g}: a fault is seen late"
                self._warning(text, (*key, "max_temperature"), (*key, "target_max"))
            if zone.frost > zone.target:
                text = f"{zone.frost:g} °C is above target {zone.target:g}: frost is fought up to the target alone"
                self._warning(text, (*key, "frost"), (*key, "target"))
            stale_after = settings.stale_after(name)
            if stale_after > LONG_STALE:
                text = f"heats for {show_seconds(stale_after)} without a reading; {show_seconds(LONG_STALE)} is much"
                self._warning(text, (*key, "stale_after"), interval)
            if stale_after <= settings.thermometers[slowest].interval:
                text = f"{show_seconds(stale_after)} is no longer than its thermometer's interval: hardly any heat"
                self._warning(text, (*key, "stale_after"), interval)
            self._warn_of_interlocks(key, zone)

    def _warn_of_devices(self, settings: core.Settings) -> None:
        for name, thermometer in settings.thermometers.items():
            if not thermometer.max_rate and ("thermometers", name, "max_rate") in self._origin:
                text = "a sensor may leap to any temperature and be believed at once; 10 K a minute is fast for a room"
                self._warning(text, ("thermometers", name, "max_rate"))
        for name, heater in settings.heaters.items():
            if not 0 < heater.max_on <= LONG_ON:
                text = f"may stay on for {show_seconds(heater.max_on) if heater.max_on else 'ever'} without a rest"
                self._warning(f"{text}; {show_seconds(LONG_ON)} is much", ("heaters", name, "max_on"))
            elif heater.max_on < heater.min_on:
                text = f"max_on {show_seconds(heater.max_on)} ends heating before min_on {show_seconds(heater.min_on)}"
                self._warning(text, ("heaters", name, "max_on"), ("heaters", name, "min_on"))
            elif not heater.max_on_rest and not heater.max_on_latch:
                text = f"no rest after {show_seconds(heater.max_on)} on: it goes straight on, so max_on does nothing"
                self._warning(text, ("heaters", name, "max_on_rest"))
            elif heater.max_on < heater.max_on_rest and not heater.max_on_latch:
                text = f"rests {show_seconds(heater.max_on_rest)} after {show_seconds(heater.max_on)} on"
                text += ": a heater without effect, or a sensor that slipped away, is hardly ever noticed"
                self._warning(text, ("heaters", name, "max_on"), ("heaters", name, "max_on_rest"))
            if settings.zones and all(zone.heater != name for zone in settings.zones.values()):
                self._warning("no zone has this heater, so it stays off", ("heaters", name))
        if not settings.max_restarts:
            self._warning("a crash that comes with each heating goes on and on", ("device", "max_restarts"))

    def _warn_of_limits(self, settings: core.Settings) -> None:
        for section, tables in (
            ("thermometers", settings.thermometers),
            ("heaters", settings.heaters),
            ("zones", settings.zones),
        ):
            for name, table in tables.items():
                for key, why in unwise(section, table):
                    self._warning(why, (section, name, key))

    def _warn_of_interlocks(self, key: Key, zone: core.Zone) -> None:
        if not 0 < zone.runaway_after <= LATE:
            after = f"only after {show_seconds(zone.runaway_after)}" if zone.runaway_after else "never"
            self._warning(f"a sensor that slipped away is noticed {after}", (*key, "runaway_after"))
        elif zone.runaway_after < 3600:
            text = f"{show_seconds(zone.runaway_after)} is less than many a heater needs to be felt: false alarms"
            self._warning(text, (*key, "runaway_after"))
        if not zone.stuck_on_after:
            self._warning("a relay that sticks is never noticed", (*key, "stuck_on_after"))
        elif zone.stuck_on_after < LATE:
            text = f"{show_seconds(zone.stuck_on_after)} is shorter than a sunny day: false alarms"
            self._warning(text, (*key, "stuck_on_after"))
        if zone.stale_duty:
            text = f"heats {zone.stale_duty:.0%} of the time without knowing how warm it is"
            self._warning(text, (*key, "stale_duty"))


@functools.cache
def _system_timezone() -> tzinfo:
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC  # what a system without that file shows


def _host_name() -> str:
    name = os.uname().nodename.partition(".")[0][:NAME_LENGTH]
    return "".join(c if c in words.LETTERS else "-" for c in name) or "stoker"


def _listens_to(choice: DriverChoice) -> str:
    """The topic on which this driver's temperatures arrive; empty where it measures for itself."""
    return getattr(choice.options, "topic", "")


def _routes(settings: core.Settings) -> Iterator[tuple[Key, str]]:
    """Every topic of the device with the key of its template."""
    routes = Routes(settings)
    for name in ("availability", "alive", "state", "event", "backlog"):
        yield ("topics", name), getattr(routes, name)
    for topics in routes.zones.values():
        for name, topic in topics.items():
            yield ("topics", name), topic


def _same_topic(topic: str, other: Key) -> str:
    return f"found the topic {words.quote(topic)}, which is that of {words.dotted(other)} too; allowed: one of its own"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")
