# SPDX-License-Identifier: Apache-2.0
"""A clock on which a sleep takes no time."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from airflow_import_progress.clock import Clock

#: Seconds for an event loop to end what a timer cancels.
_TIME_TO_END = 0.001


class VirtualClock(Clock):
    """
    A clock that a sleep puts forward.

    Otherwise it goes as the machine's, so that Airflow's dates are never ahead of it.

    May be read from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: The machine's time of each jump, and how far this clock was ahead after it, in seconds.
        self._jumped_at: list[float] = []
        self._ahead: list[float] = [0.0]
        self._timers: WeakKeyDictionary[asyncio.Timeout, float] = WeakKeyDictionary()

    def time(self) -> float:
        """Return the time, in seconds since the epoch."""
        return time.time() + self._ahead[-1]

    def loop_time(self) -> float:
        """Return the time of the running event loop, in seconds."""
        return super().loop_time() + self._ahead[-1]

    def sleep(self, seconds: float) -> None:
        """Put the clock forward."""
        with self._lock:
            self._ahead.append(self._ahead[-1] + max(0.0, seconds))
            # In whole microseconds, as dates are, so that no date after the jump seems to be before it.
            self._jumped_at.append(datetime.now(UTC).timestamp())

    async def asleep(self, seconds: float, woken_by: Callable[[], Awaitable[object]] | None = None) -> None:
        """Put the clock forward, and let the timers expire whose time comes meanwhile."""
        end = self.loop_time() + seconds
        while (at := min(self._timers.values(), default=end)) < end:
            self.sleep(at - self.loop_time())
            for timer in [timer for timer, its_end in self._timers.items() if its_end <= at]:
                del self._timers[timer]
                # That of a wait that has ended cannot be set any more.
                with suppress(RuntimeError):
                    timer.reschedule(super().loop_time())
            # What waits with these timers is ended here, before the clock goes on.
            await asyncio.sleep(_TIME_TO_END)
        self.sleep(end - self.loop_time())
        await asyncio.sleep(0)

    def expire(self, timer: asyncio.Timeout, seconds: float) -> None:
        """Let a timer expire at a time on this clock."""
        self._timers[timer] = self.loop_time() + seconds

    def reschedule_date(self, seconds: float) -> datetime:
        """Put the clock forward, and return the present date for Airflow, which then reschedules the task at once."""
        self.sleep(seconds)
        return datetime.now(UTC)

    def time_of(self, date: datetime) -> float:
        """Return the time on this clock at a date that Airflow recorded."""
        moment = date.timestamp()
        with self._lock:
            return moment + self._ahead[bisect_right(self._jumped_at, moment)]
