"""What is still to be said, and what was said and not yet acknowledged. Pure: no paho, no clock, no lock.

Rule: nothing grows without a bound, and what is dropped is counted. States are coalesced by topic and forgotten when
the line goes, because the core says them all anew; those that confirm an order are coalesced only where many wait.
Readings and events that are not said at once are past: they go to the backlog, and never to their topics late; so do
readings while the broker leaves what was said before unanswered, for what goes into a line that stands still comes out
of it late. For a line that is being made the newest reading waits as long as for one that is busy. Answers are worth
nothing late, so they are dropped while there is no line.
"""

from collections import Counter, deque
from collections.abc import Callable
from itertools import count

from stoker.core.messages import Kind, Publish

LIMITS: dict[Kind, int] = {"reading": 200, "answer": 200, "event": 200}
"""The most that waits of each kind; beyond, the oldest of its kind goes. Of states one waits for each topic."""

CONFIRMATIONS = 100  # that wait; beyond, the oldest goes, for which a newer one stands
PROMPT = 5.0  # seconds; a reading that waits for longer, here or behind what is not acknowledged, is past

Keep = Callable[[Publish, bool], bool]
"""Takes what is past, and whether it may have been said; gives whether it is kept."""


def forget(_publish: Publish, _repeated: bool) -> bool:
    """For those who have no past."""
    return False


def uncounted(_kind: str) -> None:
    """For those who count nothing."""


class Outbox:
    """Filled by any thread, emptied by the link's; the link holds its lock around every call."""

    def __init__(self, keep: Keep = forget, note: Callable[[str], None] = uncounted) -> None:
        """`note` hears the kind of each that is dropped."""
        self._keep = keep
        self._note = note
        self._waiting: dict[str | int, tuple[Publish, float]] = {}  # what, since when; in the order to say it
        self._sent: dict[int, tuple[Publish, float]] = {}  # packet id -> what, when; the oldest first
        self._dropped: Counter[Kind] = Counter()
        self._serial = count()
        self._confirming: deque[int] = deque()  # keys of confirmations, of which the newest wait still
        self._online = False

    def add(self, publish: Publish, now: float) -> bool:
        """Take something to say. Whether it can be said now."""
        if not self._online and publish.kind in ("reading", "event"):
            self._pass_waiting()  # first: the past stays in its order
        if not self._online and publish.kind != "reading":
            self._pass(publish)
            return False
        if publish.confirms:
            self._confirm(publish, now)
            return True
        self._waiting[self._key(publish)] = publish, now
        if publish.kind != "state":
            self._bound(publish.kind)
        return self._online

    def _bound(self, kind: Kind) -> None:
        if len(self._waiting) <= LIMITS[kind]:
            return  # there is nothing to count
        same = [key for key, (waiting, _) in self._waiting.items() if waiting.kind == kind]
        if len(same) > LIMITS[kind]:
            self._pass(self._waiting.pop(same[0])[0])

    def _confirm(self, publish: Publish, now: float) -> None:
        self._waiting.pop(publish.topic, None)  # what was said in its first place would be said before this
        key = next(self._serial)
        self._waiting[key] = publish, now
        self._confirming.append(key)
        if len(self._confirming) > CONFIRMATIONS:
            self._waiting.pop(self._confirming.popleft(), None)

    def take(self, now: float) -> Publish | None:
        """The next thing to say, or None. Report it as `sent`."""
        while self._waiting:
            publish, since = self._waiting.pop(next(iter(self._waiting)))
            unheard = now if self.oldest_sent is None else self.oldest_sent
            if publish.kind != "reading" or now - min(since, unheard) <= PROMPT:
                return publish
            self._pass(publish)
        return None

    def sent(self, packet: int, publish: Publish, now: float) -> None:
        """It went to the broker under this packet id, which has to be acknowledged."""
        self._sent[packet] = publish, now

    def acknowledged(self, packet: int) -> tuple[Publish, float] | None:
        """The broker answered for this packet: what it was, and when it was sent."""
        return self._sent.pop(packet, None)

    def refused(self, publish: Publish, for_now: bool) -> None:
        """The broker does not take it, as somebody has told. `for_now`: perhaps later, so what can be past is."""
        if not (for_now and self._keeps(publish)):
            self._note(publish.kind)

    @property
    def waiting(self) -> int:
        """How much is still to be said."""
        return len(self._waiting)

    @property
    def unacknowledged(self) -> int:
        """How many packets wait for their acknowledgement."""
        return len(self._sent)

    @property
    def oldest_sent(self) -> float | None:
        """When the packet went that has waited longest for its acknowledgement."""
        return next(iter(self._sent.values()))[1] if self._sent else None

    @property
    def empty(self) -> bool:
        """Whether everything is said and acknowledged."""
        return not self._waiting and not self._sent

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be said."""
        return not self._waiting

    def online(self) -> None:
        """There is a line from now on."""
        self._online = True

    def offline(self) -> None:
        """The line is gone: what nobody acknowledged is past, and what waited behind it."""
        self._online = False
        for publish, _ in self._sent.values():
            self._pass(publish, repeated=True)
        self._pass_waiting()
        self._sent.clear()

    def dropped(self) -> str:
        """Name what was dropped since the last time ("3 readings and 1 event"), or give ""."""
        numbers = [(self._dropped[kind], kind) for kind in LIMITS if self._dropped[kind]]
        self._dropped.clear()
        parts = [f"{number} {kind}{'s' if number > 1 else ''}" for number, kind in numbers]
        return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))

    def _key(self, publish: Publish) -> str | int:
        return publish.topic if publish.kind == "state" else next(self._serial)

    def _keeps(self, publish: Publish, repeated: bool = False) -> bool:
        return publish.kind in ("reading", "event") and self._keep(publish, repeated)

    def _pass_waiting(self) -> None:
        for publish, _ in self._waiting.values():
            self._pass(publish)
        self._waiting.clear()

    def _pass(self, publish: Publish, repeated: bool = False) -> None:
        """It will not be said any more, or in the backlog."""
        if self._keeps(publish, repeated):
            return
        if publish.kind != "state":  # which is not lost: it will be said anew
            self._dropped[publish.kind] += 1
            self._note(publish.kind)
