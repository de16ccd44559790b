# SPDX-License-Identifier: Apache-2.0
"""
The clock by which the package waits: the only place where it reads the time and sleeps between requests.

Tests replace :data:`current`. What takes real time stays on real time: the time limits of requests and look-ups, and
the pace of writes to Airflow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta


class Clock:
    """The machine's clock."""

    def time(self) -> float:
        """Return the time, in seconds since the epoch."""
        return time.time()

    def loop_time(self) -> float:
        """Return the time of the running event loop, in seconds, which setting the machine's clock does not change."""
        return asyncio.get_running_loop().time()

    def sleep(self, seconds: float) -> None:
        """Sleep on a worker."""
        time.sleep(seconds)

    def asleep(self, seconds: float, woken_by: Callable[[], Awaitable[object]] | None = None) -> Awaitable[None]:
        """
        Sleep on an event loop.

        :param seconds: How long.
        :param woken_by: Ends the sleep earlier when what it returns is done. Default None: the sleep takes its time.
        """
        return asyncio.sleep(seconds) if woken_by is None else _sleep_unless_woken(seconds, woken_by)

    def expire(self, timer: asyncio.Timeout, seconds: float) -> None:
        """
        Let a timer of the running event loop expire.

        :param timer: The timer.
        :param seconds: When, in seconds from now.
        """
        at = self.loop_time() + seconds
        # Setting it costs more than comparing it.
        if (set_to := timer.when()) is None or abs(set_to - at) > 1:
            timer.reschedule(at)

    def reschedule_date(self, seconds: float) -> datetime:
        """
        Return the date for which Airflow reschedules a task that comes back after some time.

        :param seconds: The time, in seconds.
        """
        return datetime.fromtimestamp(self.time(), UTC) + timedelta(seconds=seconds)

    def time_of(self, date: datetime) -> float:
        """
        Return the time on this clock at a date that Airflow recorded.

        :param date: The date.
        """
        return date.timestamp()


async def _sleep_unless_woken(seconds: float, woken_by: Callable[[], Awaitable[object]]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken_by()


#: The clock in use.
current = Clock()
