"""The orders that were taken lately: so that none counts twice, and none after one that was given later.

Rule: a sender that heard no acknowledgement sends its order again, a minute later perhaps, when somebody else has long
given another; the broker hands it on as a new one. Only an order that tells when it was given can be known again: of
one without a stamp nobody can say whether it is a second order. What only takes heat away is obeyed in any case: its
sender's clock may be behind.
"""

import math
from collections import deque

from stoker.core.messages import Now
from stoker.core.topics import OrderError

MOST = 200  # orders that are known again; one that is forgotten is still older than the newest


class Taken:
    """Of one zone and subject. `given`: Unix time by the order's own word; None without a stamp."""

    def __init__(self) -> None:
        self._lately: deque[int] = deque(maxlen=MOST)  # hashes of payloads
        self._newest = -math.inf  # Unix time at which the newest was given

    def judge(self, payload: bytes, given: float | None, now: Now) -> None:
        """Raise OrderError where it was obeyed before, or where a later one was.

        A stamp may hold whole seconds alone: of one second, what comes last counts.
        """
        if given is None:
            return
        if hash(payload) in self._lately:
            raise OrderError("duplicate", "its sender sent the same with the same time before, and it was taken then")
        if self._newest > now.wall:
            self._newest = -math.inf  # our clock was set back
        if now.synchronised and math.floor(given) + 1 <= self._newest:
            text = f"by its own time it was given {self._newest - given:.1f} s before the last order obeyed here"
            raise OrderError("overtaken", f"{text}: was it held up, or is its sender's clock behind?")

    def obeyed(self, payload: bytes, given: float | None, arrived: float, now: Now) -> None:
        """It was. `arrived`: Unix time; what has no stamp was given then at the latest."""
        if given is not None:
            self._lately.append(hash(payload))
        if now.synchronised:  # a wrong clock that is ahead would silence everybody later; so would a sender's
            self._newest = max(self._newest, min(arrived if given is None else given, now.wall))
