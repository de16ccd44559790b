# SPDX-License-Identifier: Apache-2.0
"""The time of the next poll. Pure: the time and the source of random numbers are passed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import TypeGuard

from airflow_import_progress.http.rate_limit import MAX_RETRY_AFTER
from airflow_import_progress.progress import ImportProgress, ImportState

#: Longest gap after the first of several failed polls, in seconds; it doubles from there.
INITIAL_FAILURE_GAP = 5.0
#: Limit of the doubling, in seconds, so that the end of an outage is noticed.
MAX_FAILURE_GAP = 300.0
#: Default of the shortest gap around the predicted end of an import, in seconds.
MIN_POKE_INTERVAL = 5.0
#: Shortest gap between any two polls, in seconds.
MIN_GAP = 1.0
#: Overdue first polls, such as those of a triggerer that restarts, are spread over at most this, in seconds.
MAX_TAKEOVER_SPREAD = 60.0
#: Share of a gap that is random, so that waits which began together spread out.
JITTER = 0.2
#: Number of distinct percentages from which the pace is taken.
PACE_WINDOW = 3
#: The rest of an import is expected to take at most this many times as long as at its pace.
MAX_SLOWDOWN = 3.5
#: Most close polls at one percentage, as a share of all polls so far.
CLOSE_POLLS_SHARE = 0.3
#: Most close polls at one percentage in a wait with few polls.
MIN_CLOSE_POLLS = 3


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """
    Decide how long to wait before the next poll.

    :param poke_interval: Longest gap between two polls, in seconds; less than 1 counts as 1.
    :param min_poke_interval: Shortest gap, in seconds; more than ``poke_interval`` counts as that.
    :param exponential_backoff: Whether the gap doubles from poll to poll instead.
    :param max_wait: Longest gap that the doubling may reach, in seconds; None has no limit.
    :param chance: Returns a random number from 0 to 1.
    """

    poke_interval: float
    min_poke_interval: float = MIN_POKE_INTERVAL
    exponential_backoff: bool = False
    max_wait: float | None = None
    chance: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def gap_after_takeover(self, seconds: float) -> float:
        """
        Return the seconds until the first poll of a wait that another process began.

        :param seconds: The seconds until it is due; less than 0 is overdue. Overdue polls are spread over as long as
            they are overdue, up to ``poke_interval`` and :data:`MAX_TAKEOVER_SPREAD`.
        """
        if seconds >= 0:
            return seconds
        return self.chance() * min(-seconds, self.poke_interval, MAX_TAKEOVER_SPREAD)

    def gap_after_progress(self, elapsed: float, predicted_gap: float | None = None) -> float:
        """
        Return the seconds until the next poll, after a successful one.

        :param elapsed: Seconds since the wait began.
        :param predicted_gap: Seconds until the next poll that may see the end, or None if nothing is predicted.
        """
        gap = self.poke_interval
        if self.exponential_backoff:
            # Polls at 0, p, 3p, 7p ... are followed by gaps of p, 2p, 4p ...: each is the time waited so far plus p.
            # This depends only on elapsed time, so that it is the same after a restart and in every mode.
            gap = self.poke_interval + max(elapsed, 0.0)
            if self.max_wait is not None:
                gap = min(gap, self.max_wait)
        if predicted_gap is not None:
            # Longer than the shortest gap, so that jitter does not take it below.
            gap = min(gap, max(predicted_gap, self.min_poke_interval / (1 - JITTER)))
        return self._spread(gap)

    def gap_after_failure(self, failures: int, retry_after: float | None = None) -> float:
        """
        Return the seconds until the next poll, after a failed one.

        :param failures: Number of failures in a row, from 1.
        :param retry_after: The vendor's ``Retry-After`` in seconds, or None. It wins, up to an hour, and jitter only
            adds to it. It is ignored if it is shorter than the first gap after failures.
        """
        if self._is_followed(retry_after):
            return min(retry_after, MAX_RETRY_AFTER) + self.chance()
        # Bound the exponent, because a wait under silent_fail may fail a thousand times.
        gap = min(self._first_failure_gap * 2 ** min(failures - 1, 30), MAX_FAILURE_GAP)
        return self._spread(gap)

    def gap_after_rate_limit(self, polls: int, elapsed: float, retry_after: float | None = None) -> float:
        """
        Return the seconds until the next poll, after one that exceeded the vendor's rate limit.

        The gaps grow as after failures, but without a ``Retry-After`` they are at least those after a successful poll.
        In reschedule mode, which counts nothing between polls, this keeps rate limits from causing more requests.

        :param polls: Number of rate-limited polls in a row, from 1.
        :param elapsed: Seconds since the wait began.
        :param retry_after: The vendor's ``Retry-After`` in seconds, or None; as for :meth:`gap_after_failure`.
        """
        gap = self.gap_after_failure(polls, retry_after)
        return gap if self._is_followed(retry_after) else max(gap, self.gap_after_progress(elapsed))

    @property
    def _first_failure_gap(self) -> float:
        return min(max(self.poke_interval, MIN_GAP), INITIAL_FAILURE_GAP)

    def _is_followed(self, retry_after: float | None) -> TypeGuard[float]:
        # Ignore "at once": repeated, it would use up the allowed failures within seconds.
        return retry_after is not None and retry_after >= self._first_failure_gap

    def _spread(self, gap: float) -> float:
        return max(gap * (1 - JITTER * self.chance()), MIN_GAP)


class _Observation:
    """When a percentage was first and last seen."""

    __slots__ = ("first", "last", "percent")

    def __init__(self, percent: float, now: float) -> None:
        self.percent = percent
        self.first = self.last = now


class Pace:
    """
    Predict from the last percentages when the import ends.

    The pace is the mean over the last :data:`PACE_WINDOW` distinct percentages, and the time left is what the rest
    takes at that pace. The next poll is at the earliest end: the import may have reached its percentage right after
    the last poll that returned another one, and may have done up to one percent more than it reports. From there,
    polls are close until the percentage has not changed for :data:`MAX_SLOWDOWN` times the time left. This period has
    at most ``max(MIN_CLOSE_POLLS, CLOSE_POLLS_SHARE * polls so far)`` polls, so that a wrong prediction costs little.
    After it, the pace predicts nothing until the percentage changes.

    :param last_observation: A percentage and when it was first seen, by the pace that this one continues, or None.
    """

    __slots__ = ("_polls", "_seen")

    def __init__(self, last_observation: tuple[float, float] | None = None) -> None:
        # A list, because even a short deque takes half a kilobyte.
        self._seen: list[_Observation] = [_Observation(*last_observation)] if last_observation else []
        self._polls = 0

    @property
    def last_observation(self) -> tuple[float, float] | None:
        """The newest percentage and when it was first seen, or None if there is none."""
        return (self._seen[-1].percent, self._seen[-1].first) if self._seen else None

    @property
    def percent_per_minute(self) -> float | None:
        """The recent pace, or None if it is unknown."""
        if len(self._seen) < 2:
            return None
        oldest, newest = self._seen[0], self._seen[-1]
        return 60 * (newest.percent - oldest.percent) / (newest.last - oldest.first)

    def observe(self, progress: ImportProgress, now: float) -> None:
        """
        Take one more observation.

        :param progress: The newest progress.
        :param now: When it was observed, in seconds.
        """
        self._polls += 1
        if progress.state is not ImportState.RUNNING:
            # Start again, because time spent in a queue or waiting for a person does not indicate the pace.
            self._seen.clear()
            return
        if progress.percent is None:
            return
        if self._seen:
            newest = self._seen[-1]
            if progress.percent == newest.percent:
                newest.last = max(newest.last, now)
                return
            if progress.percent < newest.percent or now <= newest.last:
                # The import started over, or the clock was set back: earlier observations no longer apply.
                self._seen.clear()
        self._seen.append(_Observation(progress.percent, now))
        del self._seen[:-PACE_WINDOW]

    def gap(self, now: float) -> float | None:
        """
        Return the seconds until the next poll that may see the end, or None if the pace predicts nothing.

        :param now: The time, in seconds.
        """
        if len(self._seen) < 2:
            return None
        earliest_end, seconds_left = self._predict()
        longest = MAX_SLOWDOWN * seconds_left
        if now - self._seen[-1].first > longest:
            return None
        return max(earliest_end - now, longest / max(MIN_CLOSE_POLLS, CLOSE_POLLS_SHARE * self._polls))

    def seconds_left(self, now: float) -> float | None:
        """
        Return an estimate to show to users, or None if the pace is unknown or irregular, or the end is overdue.

        :param now: The time, in seconds.
        """
        if len(self._seen) < PACE_WINDOW:
            return None
        paces = [_seconds_per_percent(older, newer) for older, newer in pairwise(self._seen)]
        if max(paces) > MAX_SLOWDOWN * min(paces):
            return None
        earliest_end, seconds_left = self._predict()
        end = (earliest_end + self._seen[-1].first + seconds_left) / 2
        # A vendor may report percentages so close together that the end is infinitely far.
        return end - now if now < end < inf else None

    def _predict(self) -> tuple[float, float]:
        # The time of the earliest end, and the seconds that the rest takes from the first poll with its percentage.
        oldest, previous, newest = self._seen[0], self._seen[-2], self._seen[-1]
        seconds_per_percent = _seconds_per_percent(oldest, newest)
        seconds_left = (100.0 - newest.percent) * seconds_per_percent
        reached_at = max(previous.last, newest.first - seconds_per_percent)
        return reached_at + seconds_left, seconds_left


def _seconds_per_percent(older: _Observation, newer: _Observation) -> float:
    return (newer.first - older.first) / (newer.percent - older.percent)
