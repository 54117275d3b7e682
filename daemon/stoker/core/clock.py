"""Whether the wall clock was set. Nothing that measures a span looks at it; a schedule must be read anew."""

from stoker.core.messages import Now

JUMP = 5.0  # s; less is the slow correction of a clock that runs


class WallClock:
    """Compares the wall clock with the monotonic one from one moment to the next."""

    def __init__(self, now: Now) -> None:
        self._then = now

    def jumped(self, now: Now) -> float:
        """By how many seconds the wall clock was set since the last look; 0 where it was not."""
        then, self._then = self._then, now
        jump = (now.wall - then.wall) - (now.mono - then.mono)
        return jump if abs(jump) > JUMP else 0.0
