# SPDX-License-Identifier: Apache-2.0
"""When to poll next. Pure: time and chance are passed in."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_import_progress.progress import ImportProgress

#: After the first failed poll in a row the wait is this long at the most, in seconds; it doubles from there.
FIRST_FAILURE_GAP = 5.0
#: The doubling ends here, in seconds, so that the end of an outage is noticed.
LAST_FAILURE_GAP = 300.0
#: How close polls come, in seconds, where an import is about to end.
MIN_POKE_INTERVAL = 5.0
#: No poll is followed by another one sooner than this, in seconds.
SHORTEST_GAP = 1.0
#: What a vendor asks for beyond this, in seconds, is not believed: the import may be over long before.
LONGEST_RETRY_AFTER = 3600.0
#: How much of a gap is left to chance, so that waits which began together spread out.
JITTER = 0.2
#: How many observations the estimate of the remaining time looks back.
PACE_WINDOW = 10


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """
    Decide how long to wait before the next poll.

    :param poke_interval: Longest gap between two polls, in seconds; less than 1 counts as 1.
    :param min_poke_interval: Shortest gap, in seconds; more than ``poke_interval`` counts as that.
    :param exponential_backoff: Whether the gap doubles from poll to poll instead.
    :param max_wait: Longest gap that the doubling may reach, in seconds; None has no limit.
    :param chance: Returns a number from 0 to 1.
    """

    poke_interval: float
    min_poke_interval: float = MIN_POKE_INTERVAL
    exponential_backoff: bool = False
    max_wait: float | None = None
    chance: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def gap_after_progress(self, elapsed: float) -> float:
        """
        Return the seconds until the next poll, after one that was answered.

        :param elapsed: Seconds since the wait began.
        """
        gap = self.poke_interval
        if self.exponential_backoff:
            # Gaps of p, 2p, 4p ... follow polls at 0, p, 3p, 7p ...: each is the time waited so far and one p
            # more. Told by the time alone, it is the same after a restart and in every mode.
            gap = self.poke_interval + max(elapsed, 0.0)
            if self.max_wait is not None:
                gap = min(gap, self.max_wait)
        return self._spread(gap)

    def gap_after_failure(self, failures: int, retry_after: float | None = None) -> float:
        """
        Return the seconds until the next poll, after one that did not get through.

        :param failures: How many failed in a row, from 1.
        :param retry_after: Seconds that the vendor asked to wait, or None. It wins, up to an hour: chance only adds
            to it. Less than the first gap of failures asks for nothing that these do not give.
        """
        first = min(max(self.poke_interval, SHORTEST_GAP), FIRST_FAILURE_GAP)
        # "At once", said again and again, would use up the failures that are allowed in seconds.
        if retry_after is not None and retry_after >= first:
            return min(retry_after, LONGEST_RETRY_AFTER) + self.chance()
        # The exponent is bounded because a wait under silent_fail may fail a thousand times.
        gap = min(first * 2 ** min(failures - 1, 30), LAST_FAILURE_GAP)
        return self._spread(gap)

    def _spread(self, gap: float) -> float:
        return max(gap * (1 - JITTER * self.chance()), SHORTEST_GAP)


class Pace:
    """Estimate from the last observations how long the import still takes."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=PACE_WINDOW)

    def seconds_left(self, progress: ImportProgress, now: float) -> float | None:
        """
        Take one more observation and return the estimate, or None if there is nothing to go by.

        :param progress: The newest progress.
        :param now: When it was observed, in seconds.
        """
        if progress.percent is None:
            return None
        if self._seen and progress.percent < self._seen[-1][1]:
            # The vendor began again: what was seen before tells nothing about it.
            self._seen.clear()
        self._seen.append((now, progress.percent))
        since, percent_then = self._seen[0]
        if progress.percent <= percent_then or now <= since:
            return None
        return (100.0 - progress.percent) * (now - since) / (progress.percent - percent_then)
