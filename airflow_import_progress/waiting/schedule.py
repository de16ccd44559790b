# SPDX-License-Identifier: Apache-2.0
"""When to poll next. Pure: time and chance are passed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import NamedTuple, TypeGuard

from airflow_import_progress.http.rate_limit import MAX_RETRY_AFTER
from airflow_import_progress.progress import ImportProgress, ImportState

#: After the first failed poll in a row the wait is this long at the most, in seconds; it doubles from there.
INITIAL_FAILURE_GAP = 5.0
#: The doubling ends here, in seconds, so that the end of an outage is noticed.
MAX_FAILURE_GAP = 300.0
#: How close polls come, in seconds, where an import is about to end.
MIN_POKE_INTERVAL = 5.0
#: No poll is followed by another one sooner than this, in seconds.
MIN_GAP = 1.0
#: Overdue first polls, such as those of a triggerer that restarts, are spread over at most this, in seconds.
MAX_FIRST_POLL_SPREAD = 60.0
#: How much of a gap is left to chance, so that waits which began together spread out.
JITTER = 0.2
#: How many different percentages the estimate of the end looks back.
PACE_WINDOW = 8
#: What the pace predicts is believed to within this share of the time that it says is left.
TOLERANCE = 0.05
#: Two percentages closer than this are told apart, farther than this are taken for whole numbers: a vendor that tells
#: whole numbers has done up to one more percent than it says.
COARSEST_STEP = 1.0
#: A pace that falls off is believed later by this factor if it fits nothing, and if it fits a curve.
FALLING_PACE = 2.5
CURVED_PACE = 1.3
#: A curve is believed earlier by this factor, because its last bend is the least known.
EARLY_CURVE = 0.75
#: So many times wider must the room be that one way to go on leaves, to be preferred to another.
CLEARLY_WIDER = 3.0
#: So many percentages must agree with a curve before it is believed alone.
ENOUGH_FOR_CURVE = 6
#: So many earlier percentages must agree on the pace before people are told about it.
ENOUGH_TO_TELL = 2
#: How many polls the time between the earliest and the latest end is worth, for each percentage that agrees with it.
POLLS_PER_AGREEING = 6
#: How fast the gaps grow after the latest end, as a share of the time since.
OVERDUE_GROWTH = 0.33


class Ending(NamedTuple):
    """
    When an import is expected to end, in seconds from now; less than 0 is overdue.

    :param earliest: The earliest end that the pace allows for.
    :param latest: The latest one.
    :param resolution: The gap that is worth keeping between the two.
    """

    earliest: float
    latest: float
    resolution: float


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

    def gap_before_first_poll(self, seconds: float) -> float:
        """
        Return the seconds until the first poll of a wait that comes from elsewhere.

        :param seconds: The seconds until it is due; less than 0 is overdue. Overdue polls are spread over as long as
            they are overdue, up to ``poke_interval`` and :data:`MAX_FIRST_POLL_SPREAD`.
        """
        if seconds >= 0:
            return seconds
        return self.chance() * min(-seconds, self.poke_interval, MAX_FIRST_POLL_SPREAD)

    def gap_after_progress(self, elapsed: float, ending: Ending | None = None) -> float:
        """
        Return the seconds until the next poll, after one that was answered.

        :param elapsed: Seconds since the wait began.
        :param ending: When the import is expected to end, or None if nothing is known of it.
        """
        gap = self.poke_interval
        if self.exponential_backoff:
            # Gaps of p, 2p, 4p ... follow polls at 0, p, 3p, 7p ...: each is the time waited so far and one p
            # more. Told by the time alone, it is the same after a restart and in every mode.
            gap = self.poke_interval + max(elapsed, 0.0)
            if self.max_wait is not None:
                gap = min(gap, self.max_wait)
        if ending is not None:
            # The longer the end is overdue, the less is known of it: the gaps grow back to what they were.
            wanted = max(ending.earliest, ending.resolution, -ending.latest * OVERDUE_GROWTH)
            # More than the shortest gap, so that chance does not take it below.
            gap = min(gap, max(wanted, self.min_poke_interval / (1 - JITTER)))
        return self._spread(gap)

    def gap_after_failure(self, failures: int, retry_after: float | None = None) -> float:
        """
        Return the seconds until the next poll, after one that did not get through.

        :param failures: How many failed in a row, from 1.
        :param retry_after: Seconds that the vendor asked to wait, or None. It wins, up to an hour: chance only adds
            to it. Less than the first gap of failures asks for nothing that these do not give.
        """
        if self._is_worth_keeping(retry_after):
            return min(retry_after, MAX_RETRY_AFTER) + self.chance()
        # The exponent is bounded because a wait under silent_fail may fail a thousand times.
        gap = min(self._first_failure_gap * 2 ** min(failures - 1, 30), MAX_FAILURE_GAP)
        return self._spread(gap)

    def gap_after_refusal(self, refusals: int, elapsed: float, retry_after: float | None = None) -> float:
        """
        Return the seconds until the next poll, after one that the vendor refused because it gets too many requests.

        The gaps grow as after failures, but without a ``Retry-After`` they are not shorter than after an answer: a poll
        that is refused is not followed by another one sooner than usual. Where nothing can be counted from poll to
        poll, as in reschedule mode, that keeps the requests from becoming more.

        :param refusals: How many were refused in a row, from 1.
        :param elapsed: Seconds since the wait began.
        :param retry_after: Seconds that the vendor asked to wait, or None; as for :meth:`gap_after_failure`.
        """
        gap = self.gap_after_failure(refusals, retry_after)
        return gap if self._is_worth_keeping(retry_after) else max(gap, self.gap_after_progress(elapsed))

    @property
    def _first_failure_gap(self) -> float:
        return min(max(self.poke_interval, MIN_GAP), INITIAL_FAILURE_GAP)

    def _is_worth_keeping(self, retry_after: float | None) -> TypeGuard[float]:
        # "At once", said again and again, would use up the failures that are allowed in seconds.
        return retry_after is not None and retry_after >= self._first_failure_gap

    def _spread(self, gap: float) -> float:
        return max(gap * (1 - JITTER * self.chance()), MIN_GAP)


class _Observation:
    """When a percentage was seen first and last."""

    __slots__ = ("first", "last", "percent")

    def __init__(self, percent: float, now: float) -> None:
        self.percent = percent
        self.first = self.last = now


class _Fit(NamedTuple):
    """The times at which the import may end if it goes on in one way, and how much of the past agrees with it."""

    earliest: float
    latest: float
    agreeing: int
    #: Whether what does not agree was faster, or slower.
    was_faster: bool
    was_slower: bool


class Pace:
    """
    Predict from the percentages seen so far when the import ends.

    A percentage is known only at the polls, and often only as a whole number. So each poll gives bounds: at least so
    much was done, and less than the next number. The newest percentages that one straight line can pass tell the
    earliest and the latest end. Because many imports end ever slower, a curve that does is tried too: the square root
    of what is left is then a straight line.

    :param last_observation: A percentage and when it was seen first, of a pace that this one goes on from, or None.
    """

    __slots__ = ("_fits", "_seen", "_step")

    def __init__(self, last_observation: tuple[float, float] | None = None) -> None:
        # A list, because a deque takes half a kilobyte however short it is.
        self._seen: list[_Observation] = [_Observation(*last_observation)] if last_observation else []
        self._step = COARSEST_STEP
        self._fits: tuple[_Fit, _Fit] | None = None

    @property
    def last_observation(self) -> tuple[float, float] | None:
        """Return the newest percentage and when it was first seen, or None if there is none to go by."""
        return (self._seen[-1].percent, self._seen[-1].first) if self._seen else None

    @property
    def percent_per_minute(self) -> float | None:
        """Return how fast the import was lately, or None if that is not known."""
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
        if progress.state is not ImportState.RUNNING:
            # How long it waits for its turn, or for somebody, tells nothing about how fast it is.
            self._forget()
            return
        if progress.percent is None:
            return
        if self._seen:
            newest = self._seen[-1]
            if progress.percent == newest.percent:
                newest.last = max(newest.last, now)
                return
            if progress.percent < newest.percent or now <= newest.last:
                # The vendor began again, or the clock did: what was seen before tells nothing about it.
                self._forget()
            else:
                self._step = min(self._step, progress.percent - newest.percent)
        self._seen.append(_Observation(progress.percent, now))
        del self._seen[:-PACE_WINDOW]
        self._fits = self._fit_both() if len(self._seen) > 1 else None

    def ending(self, now: float) -> Ending | None:
        """
        Return when the import is expected to end, or None if there is nothing to go by.

        :param now: The time, in seconds.
        """
        if self._fits is None:
            return None
        line, curve = self._fits
        fit, is_curve, is_either = _choose(line, curve)
        if fit.agreeing == 0 or fit.latest == inf:
            return None
        changed_at = self._seen[-1].first
        earliest, latest = fit.earliest, fit.latest
        if fit.was_faster and not is_curve:
            latest = changed_at + FALLING_PACE * (latest - changed_at)
        if is_curve:
            earliest = changed_at + EARLY_CURVE * (earliest - changed_at)
        if is_either and curve.latest < inf:
            latest = max(latest, curve.latest)
        resolution = (latest - earliest) / (POLLS_PER_AGREEING * fit.agreeing)
        earliest = max(earliest, self._earliest_after_standstill(fit, is_curve))
        if (is_curve or is_either) and curve.latest < inf:
            latest = max(latest, changed_at + CURVED_PACE * (curve.latest - changed_at))
        return Ending(earliest - now, latest - now, resolution)

    def seconds_left(self, now: float) -> float | None:
        """
        Return an estimate that people can be told, or None if there is not enough to go by.

        :param now: The time, in seconds.
        """
        if self._fits is None:
            return None
        # For polls it is safer to expect both ways to go on; people are told of the likelier one.
        fit, is_curve, _ = _choose(*self._fits)
        if fit.agreeing < ENOUGH_TO_TELL or fit.latest <= now:
            return None
        earliest = max(fit.earliest, self._earliest_after_standstill(fit, is_curve)) - now
        latest = max(fit.latest - now, earliest)
        # "About" is no word for what may as well take three times as long.
        return (earliest + latest) / 2 if latest <= 3 * earliest else None

    def _forget(self) -> None:
        self._seen.clear()
        self._step, self._fits = COARSEST_STEP, None

    def _earliest_after_standstill(self, fit: _Fit, is_curve: bool) -> float:
        # The longer the percentage stands still, the later the rest of it can be done.
        newest, since = self._seen[-1], self._seen[-1 - fit.agreeing]
        most, least = 100.0 - since.percent, max(100.0 - newest.percent - self._step, 0.0)
        if is_curve:
            least, most = sqrt(least), sqrt(most)
        return newest.last + least * (newest.last - since.first) / (most - least) * (1 - TOLERANCE)

    def _least_left(self) -> list[float]:
        # Less than the next number was done when a percentage was seen last.
        left = [100.0 - last_observation.percent for last_observation in self._seen]
        return [max(most - self._step, least) for most, least in zip(left, [*left[1:], 0.0], strict=True)]

    def _fit_both(self) -> tuple[_Fit, _Fit]:
        most, least = [100.0 - last_observation.percent for last_observation in self._seen], self._least_left()
        return (
            _fit(self._seen, most, least),
            _fit(self._seen, [sqrt(left) for left in most], [sqrt(left) for left in least]),
        )


def _choose(line: _Fit, curve: _Fit) -> tuple[_Fit, bool, bool]:
    """Return the fit to go by, whether it is the curve, and whether it may be the curve as well."""
    if curve.agreeing > line.agreeing:
        return (curve, True, False) if curve.agreeing >= ENOUGH_FOR_CURVE else (line, False, True)
    if curve.agreeing == line.agreeing and not line.was_slower:
        of_line, of_curve = line.latest - line.earliest, curve.latest - curve.earliest
        # What leaves much room for the end fits easily; what leaves hardly any is about to fit no more.
        if of_curve > CLEARLY_WIDER * of_line and curve.agreeing >= ENOUGH_FOR_CURVE:
            return curve, True, False
        return line, False, of_line < CLEARLY_WIDER * of_curve
    return line, False, False


def _fit(seen: list[_Observation], most: list[float], least: list[float]) -> _Fit:
    """
    Lay a straight line through as many of the newest observations as it can pass.

    :param seen: The observations.
    :param most: For each, how much was left at the most when it was seen first.
    :param least: For each, how much was left at the least when it was seen last.
    """
    newest, before = seen[-1], seen[-2]
    now = newest.first
    earliest, latest, agreeing = -inf, inf, 0
    for last_observation, most_then, least_then in zip(seen[-2::-1], most[-2::-1], least[-2::-1], strict=True):
        soonest = now + least[-1] * (now - last_observation.first) / (most_then - least[-1])
        if last_observation is not before:
            soonest = max(
                soonest, before.last + least[-2] * (before.last - last_observation.first) / (most_then - least[-2])
            )
        done = least_then - most[-1]
        slowest = now + most[-1] * (now - last_observation.last) / done if done > 0 else inf
        soonest, slowest = now + (soonest - now) * (1 - TOLERANCE), now + (slowest - now) * (1 + TOLERANCE)
        if max(soonest, earliest) > min(slowest, latest):
            return _Fit(earliest, latest, agreeing, slowest < earliest, slowest >= earliest)
        earliest, latest, agreeing = max(soonest, earliest), min(slowest, latest), agreeing + 1
    return _Fit(earliest, latest, agreeing, False, False)
