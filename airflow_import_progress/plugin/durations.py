# SPDX-License-Identifier: Apache-2.0
"""How long the waits of a task usually take."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_import_progress.plugin.status import WaitStatus

#: Minimum number of earlier waits from which the usual duration is derived.
MIN_WAITS = 5
#: A wait is slow if it takes longer than this multiple of the usual duration, and than this share
#: of the earlier ones.
SLOW_FACTOR, SLOW_SHARE = 1.5, 0.9


def usual_took(durations: Iterable[Mapping[str, Any]]) -> float | None:
    """
    Return the median duration of the earlier waits whose imports succeeded, in seconds, or None if there are too few.

    :param durations: The earlier waits.
    """
    took = _of_successes(durations)
    return statistics.median(took) if len(took) >= MIN_WAITS else None


def is_slow(took: float | None, durations: Iterable[Mapping[str, Any]]) -> bool:
    """
    Return whether a wait takes, or took, longer than usual.

    :param took: Its duration so far, in seconds, or None if it is unknown.
    :param durations: The earlier waits.
    """
    earlier = _of_successes(durations)
    usual = usual_took(durations)
    if took is None or usual is None or took <= SLOW_FACTOR * usual:
        return False
    return sum(duration < took for duration in earlier) >= SLOW_SHARE * len(earlier)


def _of_successes(durations: Iterable[Mapping[str, Any]]) -> list[float]:
    return [duration["took"] for duration in durations if duration["state"] == WaitStatus.DONE]
