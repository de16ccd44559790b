# SPDX-License-Identifier: Apache-2.0
"""
How many requests it takes to see the end of an import within a given time.

Nothing is asked and nothing sleeps: the schedule is driven with shapes of progress on a clock of its own. The peer is
a fixed interval: the one that all waits would need to see the end as soon as the schedule does.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable
from typing import Any

from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.schedule import Pace, Schedule

POKE_INTERVAL = 60.0
#: How long the imports take, in seconds.
DURATIONS = (600.0, 3600.0, 14400.0)
IMPORTS = 500
#: Of the records of an import; a vendor that counts them tells its progress as finely as this.
RECORDS = 20_000

#: How much of an import is done, in percent, after which share of its time.
Shape = Callable[[float], float | None]
PREDICTABLE: dict[str, Shape] = {
    "linear": lambda share: 100 * share,
    "slow start": lambda share: 100 * share**2,
    "S-curve": lambda share: 100 * (3 * share**2 - 2 * share**3),
}
UNPREDICTABLE: dict[str, Shape] = {
    "stall at 99 %": lambda share: min(99.0, 198 * share),
    "sudden jump": lambda share: 20 * share if share < 0.7 else 80.0,
    "unknown percent": lambda share: None,
}
#: As whole numbers, like Lucca, and as finely as the records are counted. A running import is never told as 100 %.
TOLD: dict[str, Callable[[float], float]] = {
    "whole": lambda percent: float(min(99, math.floor(percent))),
    "fine": lambda percent: min(RECORDS - 1, math.floor(percent * RECORDS / 100)) * 100 / RECORDS,
}


def requests_for_a_lag() -> dict[str, Any]:
    """Return, for each shape, how it is told and how long it takes, what the schedule needs and a fixed gap does."""
    return {
        "poke_interval": POKE_INTERVAL,
        "imports": IMPORTS,
        "shapes": [
            _compare(name, shape, told, duration)
            for shapes in (PREDICTABLE, UNPREDICTABLE)
            for name, shape in shapes.items()
            # How finely something is told that is not told makes no difference.
            for told in (TOLD if shape(0.5) is not None else ("whole",))
            for duration in DURATIONS
        ],
    }


def _compare(name: str, shape: Shape, told: str, duration: float) -> dict[str, Any]:
    requests, lag = _watch(shape, TOLD[told], duration, POKE_INTERVAL, predicts=True)
    fixed_requests, fixed_lag = _watch(shape, TOLD[told], duration, POKE_INTERVAL, predicts=False)
    interval = _interval_for(lag)
    as_soon_requests, as_soon_lag = _watch(shape, TOLD[told], duration, interval, predicts=False)
    return {
        "shape": name,
        "predictable": name in PREDICTABLE,
        "told": told,
        "duration": duration,
        "requests": requests,
        "lag": lag,
        "fixed": {"interval": POKE_INTERVAL, "requests": fixed_requests, "lag": fixed_lag},
        "fixed_as_soon": {"interval": interval, "requests": as_soon_requests, "lag": as_soon_lag},
        "ratio": as_soon_requests / requests,
    }


def _watch(
    shape: Shape, told: Callable[[float], float], duration: float, interval: float, *, predicts: bool
) -> tuple[float, float]:
    """Return the mean requests and the mean seconds by which the end is seen late."""
    chance = random.Random(4)  # noqa: S311
    requests, lags = [], []
    for _ in range(IMPORTS):
        over_after = duration * chance.uniform(0.9, 1.1)
        schedule, pace = Schedule(poke_interval=interval, chance=chance.random), Pace()
        now, asked = 0.0, 1
        while now < over_after:
            if predicts:
                percent = shape(now / over_after)
                percent = None if percent is None else told(percent)
                pace.observe(ImportProgress(import_id="1", state=ImportState.RUNNING, percent=percent), now)
            now += schedule.gap_after_progress(now, pace.gap(now))
            asked += 1
        requests.append(asked)
        lags.append(now - over_after)
    return statistics.fmean(requests), statistics.fmean(lags)


def _interval_for(lag: float) -> float:
    """Return the interval that sees the end so late on average, when gaps are from four fifths of it to all of it."""
    # The mean of a gap's square over twice the mean of a gap.
    return lag / ((1 + 0.8 + 0.8**2) / 3 / (1 + 0.8))
