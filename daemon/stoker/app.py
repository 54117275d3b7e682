"""Builds every part and joins them. The only file that knows them all.

Rule: the heaters are entered last, so whatever happens they are the first to be let go: off before a slow goodbye to
the network. What can be reached at the start and what cannot makes no difference: control begins, the rest is tried
again for ever.
"""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType

from stoker import devices
from stoker.config import Config, ConfigError, DriverChoice
from stoker.core.messages import Effect, Input, LinkDown, Notice, Publish, Reload, Stop
from stoker.core.stoker import Kept, Stoker
from stoker.heaters import HeaterPort
from stoker.inbox import Inbox, monotonic
from stoker.link.link import Link
from stoker.loop import Loop
from stoker.sampler import Sampler
from stoker.store import Store
from stoker.systemd import Systemd
from stoker_drivers.interfaces import Listener

log = logging.getLogger(__name__)

GOODBYE = 3.0  # seconds for the last words to the broker
LAST_WRITE = 5.0  # seconds for the last orders to reach the disk


class App:
    """One device, from its configuration. `run` returns when it was told to stop."""

    def __init__(self, config: Config, path: Path) -> None:
        self._config = config
        self._path = path
        self._inbox: Inbox[Input | Reload] = Inbox(config.clock_trusted)
        self._systemd = Systemd()
        self._store = Store(config.state_dir)
        self._samplers: dict[str, Sampler] = {}
        self._heaters: dict[str, HeaterPort] = {}
        self._listeners: dict[str, dict[str, Listener]] = {}

    def run(self) -> int:
        """Keep warm until a signal or a failure ends it. The exit code: 0 when told to stop, 1 after a failure."""
        try:
            with contextlib.ExitStack() as stack:
                stop = self._assemble(stack).run()
                self._systemd.stopping()
        except Exception:
            log.exception("a part of stoker failed; every heater was switched off")
            return 1
        (log.error if stop.failed else log.info)("stopped: %s", stop.why)
        return 1 if stop.failed else 0

    def _assemble(self, stack: contextlib.ExitStack) -> Loop:
        stack.enter_context(self._signals())
        remembered = self._store.load()
        self._store.start()
        stack.callback(self._store.close, LAST_WRITE)
        core = Stoker(self._config.core, remembered, self._inbox.now())
        self._make_thermometers(set(self._config.thermometers))
        self._make_heaters(set(self._config.heaters))
        self._link = self._new_link(core)
        stack.callback(lambda: self._link.close(GOODBYE))
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
        self._loop.carry_out(core.start())
        self._link.start()
        for sampler in self._samplers.values():
            sampler.start()
        return self._loop

    def publish(self, effect: Publish) -> None:
        """Hand a publication to the link of the moment."""
        self._link.publish(effect)

    # --- parts --------------------------------------------------------------------------------------------------------

    def _new_link(self, core: Stoker) -> Link:
        mqtt = self._config.mqtt
        return Link(
            mqtt,
            self._inbox.put,
            client_id=mqtt.client_id or f"stoker-{self._config.core.device}",
            subscriptions=[*core.subscriptions(), *self._listeners],
            will=(core.routes.availability, b"offline"),
            crowded=self._inbox.crowded,
            now=monotonic,
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

    def _close_samplers(self) -> None:
        for sampler in self._samplers.values():
            sampler.close()

    def _close_heaters(self) -> None:
        for port in self._heaters.values():
            port.close()

    @contextlib.contextmanager
    def _signals(self) -> Generator[None]:
        """SIGTERM and SIGINT stop, SIGHUP reloads, and a thread that fails stops everything with a failing exit."""

        def stop(number: int, _frame: FrameType | None) -> None:
            self._inbox.put(Stop(signal.Signals(number).name))

        def reload(_number: int, _frame: FrameType | None) -> None:
            self._inbox.put(Reload())

        def failed(args: threading.ExceptHookArgs) -> None:
            name = args.thread.name if args.thread else "?"
            log.error("thread %s failed", name, exc_info=args.exc_value)
            self._inbox.put(Stop(f"thread {name} failed", failed=True))

        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: reload,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        hook, threading.excepthook = threading.excepthook, failed
        try:
            yield
        finally:
            threading.excepthook = hook
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- reload -------------------------------------------------------------------------------------------------------

    def _reload(self) -> list[Effect]:
        """Read the files anew. What did not change goes on untouched; with an error in them everything does."""
        self._systemd.reloading()
        try:
            effects = self._apply(devices.load(self._path))
            log.info("configuration read anew")
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            first = str(error.problems[0])
            effects = self._loop.core.handle(Notice("reload-refused", f"the old one stays: {first}"), self._inbox.now())
        self._systemd.ready()
        return effects

    def _apply(self, new: Config) -> list[Effect]:
        old, self._config = self._config, new
        kept = Kept(_same_thermometers(old, new), _same(old.heaters, new.heaters))
        for name in old.heaters.keys() - kept.heaters:
            self._heaters.pop(name).close()
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
        self._make_heaters(new.heaters.keys() - kept.heaters)
        before = self._loop.core.routes.availability
        self._loop.core, effects = self._loop.core.replace(new.core, kept, self._inbox.now())
        self._join_link(old, new, before)
        return effects

    def _join_link(self, old: Config, new: Config, availability: str) -> None:
        core = self._loop.core
        if (old.mqtt, old.core.device, availability) == (new.mqtt, new.core.device, core.routes.availability):
            self._link.subscribe([*core.subscriptions(), *self._listeners])
            return
        self._link.publish(Publish(availability, b"offline", "state"))
        self._link.close(GOODBYE)
        self._link = self._new_link(core)
        self._link.start()
        self._loop.handle(LinkDown("reload", "connecting anew as the configuration now says", 0))


def _same(old: dict[str, DriverChoice], new: dict[str, DriverChoice]) -> set[str]:
    return {name for name in old.keys() & new.keys() if old[name] == new[name]}


def _same_thermometers(old: Config, new: Config) -> set[str]:
    same = _same(old.thermometers, new.thermometers)
    return {name for name in same if old.core.thermometers[name].interval == new.core.thermometers[name].interval}
