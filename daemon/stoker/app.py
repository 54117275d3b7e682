"""Builds every part and joins them. The only file that knows them all.

Rule: the heaters are entered last, so whatever happens they are the first to be let go: off before a slow goodbye to
the network. What can be reached at the start and what cannot makes no difference: control begins, the rest is tried
again for ever.
"""

import contextlib
import logging
import threading
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from stoker import devices, driven, signals
from stoker.archive import Archive
from stoker.backlog import Backlog
from stoker.config import Config, ConfigError, DriverChoice
from stoker.core.messages import Effect, Input, LinkDown, Notice, Publish, Reload, Stop, Switched, SwitchFailed
from stoker.core.stoker import Kept, Stoker
from stoker.heaters import HeaterPort
from stoker.inbox import Inbox, monotonic
from stoker.link.counters import Counters, Figures
from stoker.link.link import Link
from stoker.loop import Loop, Scrape
from stoker.sampler import Sampler
from stoker.store import Store
from stoker.systemd import Systemd
from stoker_drivers.interfaces import Listener

if TYPE_CHECKING:
    from stoker.metrics import Metrics

log = logging.getLogger(__name__)

GOODBYE = 3.0  # seconds for the last words to the broker
LAST_WRITE = 5.0  # seconds for the last orders, and for what could not be said, to reach the disk


class App:
    """One device, from its configuration. `run` returns when it was told to stop. Call `signals.block` before anything.

    `reloads`: SIGHUP reads the files anew; otherwise it stops, as for a program in a terminal that is closed.
    """

    def __init__(self, config: Config, path: Path, reloads: bool = True) -> None:
        self._config = config
        self._path = path
        self._reloads = reloads
        self._inbox: Inbox[Input | Reload | devices.Loaded | Scrape] = Inbox(config.clock_trusted)
        self._counters = Counters()
        self._systemd = Systemd()
        self._metrics: Metrics | None = None
        self._store = Store(config.state_dir)
        self._backlog = Backlog(Archive(config.state_dir), self._inbox.now)
        self._samplers: dict[str, Sampler] = {}
        self._heaters: dict[str, HeaterPort] = {}
        self._listeners: dict[str, dict[str, Listener]] = {}
        self._reading = self._read_again = False  # the configuration, anew

    def run(self) -> int:
        """Keep warm until a signal or a failure ends it. The exit code: 0 when told to stop, 1 after a failure."""
        try:
            with contextlib.ExitStack() as stack:
                stop = self._assemble(stack).run()
                self._systemd.stopping()
        except (Exception, SystemExit):  # a library's, too, must not look like an end in order
            log.exception("a part of stoker failed; every heater was switched off")
            return 1
        (log.error if stop.failed else log.info)("stopped: %s", stop.why)
        return 1 if stop.failed else 0

    def _assemble(self, stack: contextlib.ExitStack) -> Loop:
        stack.enter_context(self._watched_threads())
        signals.watch(self._inbox.put, self._reloads)
        outcomes = self._drive_off_first()
        stack.callback(self._close_heaters)  # in case that making the other parts fails
        self._make_thermometers(set(self._config.thermometers))
        remembered = self._store.load()
        self._store.start()
        stack.callback(self._store.close, LAST_WRITE)
        core = Stoker(self._config.core, remembered, self._inbox.now())
        self._backlog.configure(core.routes.backlog, self._config.backlog.records)
        self._backlog.open()
        self._backlog.start()
        stack.callback(self._backlog.close, LAST_WRITE)
        self._link = self._new_link(core)
        stack.callback(self._inbox.see_off, GOODBYE)
        stack.callback(self._stop_metrics)
        stack.callback(self._close_samplers)
        stack.callback(self._close_heaters)
        self._loop = Loop(
            core,
            self._inbox,
            heaters=self._heaters,
            listeners=self._listeners,
            link=self,
            store=self._store,
            supervisor=self._systemd,
            reload=self._reload,
        )
        for outcome in outcomes:
            self._loop.handle(outcome)
        self._inbox.attend(self._link)
        for sampler in self._samplers.values():
            sampler.start()
        self._start_metrics()
        return self._loop

    def _drive_off_first(self) -> list[Switched | SwitchFailed]:
        """Every heater, and every one that was driven last and is no longer in the configuration."""
        driven.drive_off_others(self._config)
        driven.note(self._config)
        self._make_heaters(set(self._config.heaters))
        return [port.switch(False) for port in self._heaters.values()]

    def publish(self, *effects: Publish) -> None:
        """Hand publications to the link of the moment."""
        self._link.publish(*effects)

    def hangs(self, now: float) -> bool:
        """Whether the link of the moment does."""
        return self._link.hangs(now)

    def figures(self, new_period: bool = False) -> Figures:
        """What this link and those before it have counted."""
        return self._link.figures(new_period)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _new_link(self, core: Stoker) -> Link:
        mqtt = self._config.mqtt
        return Link(
            mqtt,
            self._inbox.put,
            client_id=mqtt.client_id or f"stoker-{self._config.core.device}",
            subscriptions=[*core.subscriptions(), *self._listeners],
            will=(core.routes.availability, b"offline"),
            backlog=self._backlog,
            now=monotonic,
            counters=self._counters,
            order_lifetime=self._config.core.shortest_order_lifetime,
        )

    def _make_thermometers(self, names: set[str]) -> None:
        for name in sorted(names):
            driver = devices.thermometer(self._config.thermometers[name])
            if isinstance(driver, Listener):
                self._listeners.setdefault(driver.topic, {})[name] = driver
            else:
                interval = self._config.core.thermometers[name].interval
                self._samplers[name] = Sampler(name, driver, interval, self._inbox.put)

    def _make_heaters(self, names: set[str]) -> None:
        for name in sorted(names):
            self._heaters[name] = devices.heater(name, self._config.heaters[name])

    def _start_metrics(self) -> None:
        if self._config.metrics.port:
            from stoker.metrics import Metrics  # a web server, which hardly anybody needs

            self._metrics = Metrics(self._config.metrics, self._config.core.device, self._inbox.put)
            self._metrics.start()

    def _stop_metrics(self) -> None:
        if self._metrics:
            self._metrics.close()
            self._metrics = None

    def _close_samplers(self) -> None:
        for sampler in self._samplers.values():
            sampler.close()

    def _close_heaters(self) -> None:
        for port in self._heaters.values():
            if isinstance(outcome := port.close(), SwitchFailed):
                log.error("heater %s: %s", port.name, outcome.text)

    @contextlib.contextmanager
    def _watched_threads(self) -> Generator[None]:
        """A thread that fails stops everything, with a failing exit."""

        def failed(args: threading.ExceptHookArgs) -> None:
            name = args.thread.name if args.thread else "?"
            log.error("thread %s failed", name, exc_info=args.exc_value)
            self._inbox.put(Stop(f"thread {name} failed", failed=True))

        hook, threading.excepthook = threading.excepthook, failed
        try:
            yield
        finally:
            threading.excepthook = hook

    # --- reload -------------------------------------------------------------------------------------------------------

    def _reload(self, event: Reload | devices.Loaded) -> None:
        """Read the files anew, once at a time. What did not change goes on; with an error in them everything does."""
        if isinstance(event, Reload):
            if not self._reading:
                self._reading = True
                self._systemd.reloading()
                devices.reload(self._path, self._inbox.put)
            else:
                self._read_again = True
            return
        self._reading = False
        if self._read_again:
            self._read_again = False
            self._reload(Reload())
            return
        effects = self._refused(event.result) if isinstance(event.result, ConfigError) else self._apply(event.result)
        self._loop.carry_out(effects)
        self._systemd.reloaded(self._loop.core.summary)

    def _refused(self, error: ConfigError) -> list[Effect]:
        for problem in error.problems:
            log.error("%s", problem)
        return self._not_reloaded(str(error.problems[0]))

    def _not_reloaded(self, why: str) -> list[Effect]:
        return self._loop.core.handle(Notice("reload-refused", f"the old one stays: {why}"), self._inbox.now())

    def _apply(self, new: Config) -> list[Effect]:
        old = self._config
        kept = Kept(_same_thermometers(old, new), _same(old.heaters, new.heaters))
        if why := self._let_go(sorted(old.heaters.keys() - kept.heaters)):
            return self._not_reloaded(why)
        self._config = new
        for name in old.thermometers.keys() - kept.thermometers:
            if sampler := self._samplers.pop(name, None):
                sampler.close()
            for listeners in self._listeners.values():
                listeners.pop(name, None)
        for topic in [topic for topic, listeners in self._listeners.items() if not listeners]:
            del self._listeners[topic]
        self._make_thermometers(new.thermometers.keys() - kept.thermometers)
        for name in new.thermometers.keys() - kept.thermometers:
            if name in self._samplers:
                self._samplers[name].start()
        driven.note(new)
        self._make_heaters(new.heaters.keys() - kept.heaters)
        before = self._loop.core.routes.availability
        self._loop.core, last_words, effects = self._loop.core.replace(new.core, kept, self._inbox.now())
        self._link.publish(*last_words)
        self._join_link(old, new, before)
        if (old.metrics, old.core.device) != (new.metrics, new.core.device):
            self._stop_metrics()
            self._start_metrics()
        log.info("configuration read anew")
        return effects

    def _let_go(self, names: list[str]) -> str:
        """Switch off what the new configuration no longer has, and forget it. One that does not obey is kept."""
        outcomes = {name: self._heaters[name].switch(False) for name in names}
        failures = [outcome for outcome in outcomes.values() if isinstance(outcome, SwitchFailed)]
        if failures:
            for outcome in outcomes.values():
                self._loop.handle(outcome)
            return f"heater {failures[0].heater} cannot be switched off ({failures[0].text})"
        for name in names:
            self._heaters.pop(name).close()
        return ""

    def _join_link(self, old: Config, new: Config, availability: str) -> None:
        core = self._loop.core
        self._backlog.configure(core.routes.backlog, new.backlog.records)
        before = (old.mqtt, old.core.device, old.core.shortest_order_lifetime, availability)
        if before == (new.mqtt, new.core.device, new.core.shortest_order_lifetime, core.routes.availability):
            self._link.subscribe([*core.subscriptions(), *self._listeners])
            return
        if availability == core.routes.availability:  # otherwise it was cleared a moment ago
            self._link.publish(Publish(availability, b"offline", "state"))
        self._link.leave(GOODBYE)
        self._link = self._new_link(core)
        self._inbox.attend(self._link)  # once the other one has said goodbye
        self._loop.handle(LinkDown("reload", "connecting anew as the configuration now says", 0))


def _same(old: dict[str, DriverChoice], new: dict[str, DriverChoice]) -> set[str]:
    return {name for name in old.keys() & new.keys() if old[name] == new[name]}


def _same_thermometers(old: Config, new: Config) -> set[str]:
    same = _same(old.thermometers, new.thermometers)
    return {name for name in same if old.core.thermometers[name].interval == new.core.thermometers[name].interval}
