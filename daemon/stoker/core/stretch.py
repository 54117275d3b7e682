"""How long a relay has been on at a stretch, over restarts too.

Rule: what is remembered is a lease: on since then, and perhaps on until then without another word. So an SD card is
written to at most once an hour or so, and in doubt the relay was on: a run that dies takes nothing off the stretch, and
the pause that its restart made does not end it. A rest that was begun goes on from where the relay went off; once it is
over, as after a long power cut, the next stretch begins anew.
"""

import math

from stoker.core.messages import Now

LEASE = 1 / 8  # of max_on
SHORTEST, LONGEST = 600.0, 5400.0  # s, of a lease
RENEWED = 1 / 3  # of it, when only so much is left
SECOND = 1.0  # by so much clocks may differ
AT_THE_END = 10.0  # s since the relay went off: the end of the run did that


class Stretch:
    """The present stretch, or the last one: from `began` until `ended`, monotonic; minus infinity for never."""

    def __init__(self, remembered: str | None, now: Now) -> None:
        self.began = self.ended = -math.inf
        self.renew_at = math.inf  # when another word is due, while the relay is on
        self._goes_on = False  # with the next switching on, unless the relay has rested by then
        self._lease = -math.inf  # Unix time
        began, until, was_on = _recall(remembered)
        if math.isfinite(until - began):
            right = now.synchronised and now.wall >= began
            known = min(until, now.wall) if right else until  # in doubt it was on
            self._goes_on, self._lease = was_on, until if right else -math.inf  # what is in doubt is not drawn twice
            self.ended = now.mono - max(now.wall - until, 0.0)
            self.began = self.ended - max(known - began, 0.0)

    def length(self) -> float:
        """Seconds that it was on for."""
        return self.ended - self.began if math.isfinite(self.ended) else 0.0

    def switched_on(self, now: float, rest: float) -> None:
        """The relay goes on; `rest`: s off after which a stretch is over whatever interrupted it."""
        self.began = now - self.length() if self._goes_on and now - self.ended < rest else now
        self._goes_on = False

    def switched_off(self, now: float) -> None:
        """The relay is off."""
        self.ended = now

    def lease(self, max_on: float, now: Now) -> str | None:
        """What is to be remembered of a relay that is on, where it is not remembered yet."""
        span = min(max(LEASE * max_on, SHORTEST), LONGEST)
        kept = RENEWED * span < self._lease - now.wall <= span
        text = None if kept else self._remember(now, now.wall + span, on=True)
        self.renew_at = now.mono + max(self._lease - now.wall - RENEWED * span, SECOND)
        return text

    def end(self, now: Now) -> str | None:
        """What is to be remembered of a relay that is off, so that its rest is known to the second."""
        ended = now.at(self.ended).wall
        if not self.length() or abs(self._lease - ended) <= SECOND:
            return None
        return self._remember(now, ended, on=now.mono - self.ended <= AT_THE_END)

    def _remember(self, now: Now, until: float, *, on: bool) -> str:
        self._lease = until
        return f"{now.at(self.began).wall} {until} {'on' if on else 'off'}"


def _recall(text: str | None) -> tuple[float, float, bool]:
    """From when until when, and whether it was on at the end of that run."""
    try:
        began, until, state = (text or "").split()
        return float(began), float(until), state == "on"
    except ValueError:
        return math.nan, math.nan, False
