"""The whole vocabulary: what can happen (inputs), what is to be done (effects), and why (reasons).

All are frozen values. Times are seconds: `mono` counts up for ever and through suspend, `wall` is Unix time.
"""

from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from stoker.core.schedule import Schedule


class Now(Struct, frozen=True):
    """The time at which something is handled: `mono` for every span, `wall` for stamps and for the schedule alone.

    `synchronised`: the system says that its clock is right. A Pi has no battery clock.
    """

    mono: float
    wall: float
    synchronised: bool = True

    def at(self, mono: float) -> "Now":
        """What the clocks showed at this monotonic time, in so far as nobody has set them since."""
        return Now(mono, self.wall + mono - self.mono, self.synchronised)


class Reason(StrEnum):
    """Why a heater is on or off. Published; the texts are in `README.md`."""

    BELOW_TARGET = "below-target"
    TARGET_REACHED = "target-reached"
    MODE_OFF = "mode-off"
    BY_HAND = "by-hand"
    FROST_PROTECTION = "frost-protection"
    OPEN_WINDOW = "open-window"
    PULSE = "pulse"
    PAUSE = "pause"
    TUNING = "tuning"
    NO_TEMPERATURE_YET = "no-temperature-yet"
    STALE_TEMPERATURE = "stale-temperature"
    IMPLAUSIBLE_TEMPERATURE = "implausible-temperature"
    OVER_TEMPERATURE = "over-temperature"
    RUNAWAY = "runaway"
    HEATER_TEST = "heater-test"
    STUCK_ON = "stuck-on"
    MAX_ON = "max-on"
    CLOCK_JUMP = "clock-jump"
    TOO_MANY_RESTARTS = "too-many-restarts"
    SHORT_CYCLE = "short-cycle"
    SWITCH_FAILED = "switch-failed"
    NO_ZONE = "no-zone"
    STOPPING = "stopping"


# --- inputs -----------------------------------------------------------------------------------------------------------


class Tick(Struct, frozen=True):
    """Nothing happened, but a deadline has come."""


class Reading(Struct, frozen=True):
    """A thermometer measured `celsius` at the monotonic time `at`."""

    thermometer: str
    celsius: float
    at: float


class ReadingFailed(Struct, frozen=True):
    """A thermometer was asked at `at` and gave no temperature: a reason code and a text."""

    thermometer: str
    reason: str
    text: str
    at: float


class Message(Struct, frozen=True):
    """Something arrived on a subscribed topic at the monotonic time `at`.

    Where the line may have stood still, `at` is the earliest time at which it can have left the broker.
    `expires_in`: seconds that it had left to live then (MQTT 5), or None. `reply_to`, `correlation`: where its sender
    wants an answer (MQTT 5). `duplicate`: the broker sent it again although we had taken it.
    """

    topic: str
    payload: bytes
    at: float
    retained: bool = False
    expires_in: float | None = None
    reply_to: str = ""
    correlation: bytes = b""
    duplicate: bool = False


class LinkUp(Struct, frozen=True):
    """Connected, and every subscription stands, but for those that the broker refuses. `protocol`: "5" or "3.1.1"."""

    broker: str
    protocol: str = "5"


class LinkDown(Struct, frozen=True):
    """The connection is lost, or a try to make one failed. `tries` counts those in a row."""

    reason: str
    text: str
    tries: int


class Notice(Struct, frozen=True):
    """Something that a person should know: a refused subscription, dropped publications, a refused reload."""

    reason: str
    text: str


class Switched(Struct, frozen=True):
    """The driver did what the last SwitchHeater asked."""

    heater: str
    on: bool


class SwitchFailed(Struct, frozen=True):
    """The driver could not switch; nobody knows whether the heater is on."""

    heater: str
    text: str


class SetMode(Struct, frozen=True):
    """An order understood: this zone's mode from now on; None returns to the configuration's."""

    zone: str
    mode: str | None


class SetTarget(Struct, frozen=True):
    """An order understood: this zone's target in °C from now on; None returns to the configuration's."""

    zone: str
    target: float | None


class SetPreset(Struct, frozen=True):
    """An order understood: this zone's preset from now on; `none` for none. `boost` ends by itself."""

    zone: str
    preset: str


class SetSchedule(Struct, frozen=True):
    """An order understood: this zone's weekly schedule from now on; None returns to the configuration's."""

    zone: str
    schedule: Schedule | None


class Tune(Struct, frozen=True):
    """An order understood: begin to find out the gains of control pi, or give it up."""

    zone: str
    start: bool


class SetHeater(Struct, frozen=True):
    """An order by hand: the heater on or off for a while; None is AUTO."""

    zone: str
    on: bool | None


class ResetFault(Struct, frozen=True):
    """An order understood: forget this zone's latched fault."""

    zone: str


Order = SetMode | SetTarget | SetPreset | SetSchedule | Tune | SetHeater | ResetFault


class Reload(Struct, frozen=True):
    """Somebody asks to read the configuration anew. For the shell; the core gets the new settings instead."""


class Stop(Struct, frozen=True):
    """The end. `failed` when a part of the program died: the exit code tells it."""

    why: str
    failed: bool = False


Input = Tick | Reading | ReadingFailed | Message | LinkUp | LinkDown | Notice | Switched | SwitchFailed | Stop
"""What `core.handle` takes. A Message becomes an Order in `topics.py`; Reload ends in `app.py`."""


# --- effects ----------------------------------------------------------------------------------------------------------


class SwitchHeater(Struct, frozen=True):
    """Drive this heater; answer with Switched or SwitchFailed."""

    heater: str
    on: bool
    reason: str


Kind = Literal["state", "reading", "event", "answer", "backlog"]


class Publish(Struct, frozen=True):
    """Say this over MQTT, QoS 1.

    `state` is retained, coalesced to its newest, and said anew by the core after each connection. `reading` and `event`
    are said on their topics at once or never: what could not be said goes into the backlog with the time of `measured`.
    `answer` is worth nothing late, so it is dropped while offline. `backlog` is what the link makes of the past.
    `reply_to` and `correlation` (MQTT 5): where an answer is wanted, and which question it answers. `expires_in`:
    seconds after which a broker must not deliver it any more (MQTT 5); 0 for never. `confirms`: this state answers an
    order, so it is said although a newer one waits.
    """

    topic: str
    payload: bytes
    kind: Kind
    correlation: bytes = b""
    reply_to: str = ""
    expires_in: int = 0
    measured: Now | None = None
    confirms: bool = False


class SayAlive(Struct, frozen=True):
    """Say `figures` on this topic, retained, as JSON, with what the link has counted added under `link`."""

    topic: str
    figures: dict[str, Any]


class Remember(Struct, frozen=True):
    """Keep this over a restart; None forgets."""

    key: str
    value: str | None


class Say(Struct, frozen=True):
    """A line for the log. `fields` go to the journal by name (zone, reason ...)."""

    level: Literal["debug", "info", "warning", "error"]
    text: str
    fields: dict[str, str] = {}


Effect = SwitchHeater | Publish | SayAlive | Remember | Say
