# SPDX-License-Identifier: Apache-2.0
"""
Publish the start of an import and the progress of a wait, for display only.

A start is written whenever its state changes. The progress of a wait is written when it has changed, at most every
:data:`MIN_WRITE_GAP` seconds, and now and then if it has not. A failed write never fails a start or a wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any
from weakref import WeakKeyDictionary

from airflow_import_progress import clock
from airflow_import_progress.compat.stored import apull_xcom, apush_xcom, publishes_progress, push_xcom
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.links import ImportLink
from airflow_import_progress.waiting.published import XCOM_KEY, History, PublishedProgress, PublishedStart
from airflow_import_progress.waiting.wait import Wait

#: Shortest gap between two writes of a wait, in seconds.
MIN_WRITE_GAP = 5.0
#: Longest gap between two writes of a wait, in seconds: they contain the time of the last poll.
MAX_WRITE_GAP = 120.0
#: How many times as long as a write the pause after it is. The waits of a triggerer write one after the other, through
#: its supervisor, which has other work.
PAUSE_PER_WRITE = 4.0
#: How long the last write may delay the end of a wait, in seconds.
LAST_WRITE_TIMEOUT = 5.0

#: The lock that a write holds, for each event loop.
_write_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
#: The writes that are under way. A write is never cancelled: Airflow 3.1 would take its answer for that of another one.
_tasks: set[asyncio.Task[None]] = set()


class StartPublisher:
    """
    Publish the start of an import by one try of a task, from its worker.

    :param ti: The task instance. None: there is none, and nothing is published.
    :param vendor: The vendor's name.
    :param conn_id: The Airflow connection.
    :param label: The name of such an import.
    :param begun_at: When the wait began that this try resumes, in seconds since the epoch. None: the try begins now.
    :param log: The log of the task.
    """

    def __init__(self, ti: Any, *, vendor: str, conn_id: str, label: str, begun_at: float | None, log: Any) -> None:
        self.is_silent = ti is None or not publishes_progress()
        #: What was published last, or None.
        self.start: PublishedStart | None = None
        self._ti = ti
        self._begun_at = clock.current.time() if begun_at is None else begun_at
        self._vendor = vendor
        self._conn_id = conn_id
        self._label = label
        self._log = log
        self._has_failed = False

    def publish(
        self,
        start: PublishedStart,
        *,
        import_id: str | None = None,
        import_url: str | None = None,
        error: str | None = None,
    ) -> None:
        """
        Write the state of the start.

        :param start: The start.
        :param import_id: The vendor's identifier of the import, or None if it is unknown.
        :param import_url: The vendor's page of the import, or None if none is known.
        :param error: Why the start failed, or None.
        """
        self.start = start
        if self.is_silent:
            return
        try:
            published = PublishedProgress(
                try_number=self._ti.try_number,
                vendor=self._vendor,
                conn_id=self._conn_id,
                label=self._label,
                import_id=import_id,
                import_url=import_url,
                waiting_since=self._begun_at,
                deadline=None,
                polled_at=None,
                error=error,
                start=start,
            )
            push_xcom(self._ti, XCOM_KEY, published.to_dict())
        except Exception as failure:
            # Later ones are not logged, because they would hide the log of the start.
            if not self._has_failed:
                self._has_failed = True
                self._log.info("The start could not be published (%s: %s).", type(failure).__name__, failure)


class Publisher:
    """
    Publish the state of one wait.

    :param wait: The wait.
    :param ti: The waiting task instance. None: there is none, and nothing is published.
    :param vendor: The vendor's name.
    """

    def __init__(self, wait: Wait, ti: Any, vendor: str) -> None:
        self.wait = wait
        self.ti = ti
        self.vendor = vendor
        self.is_silent = ti is None or not publishes_progress()
        #: The hook that polls the import, once it does.
        self.hook: ImportProgressHook | None = None
        self.import_url: str | None = None
        #: The start of the import by this task, or None if it only waits for the import.
        self.start: PublishedStart | None = None
        self.history = History()
        self._written: tuple[Any, ...] | None = None
        self._written_at = 0.0
        self._has_looked_for_url = False
        self._has_failed = False

    def seconds_until_due(self) -> float:
        """Return the seconds until the next write, if nothing changes meanwhile."""
        gap = MAX_WRITE_GAP if self.wait.state.reported == self._written else MIN_WRITE_GAP
        return self._written_at + gap - self.wait.clock()

    def next_to_write(self) -> dict[str, Any]:
        """Return the record to write now, and count it as written."""
        wait, state, now = self.wait, self.wait.state, self.wait.clock()
        self._written, self._written_at = state.reported, now
        seconds_left = None if state.is_over else wait.pace.seconds_left(now)
        return PublishedProgress(
            try_number=self.ti.try_number,
            vendor=self.vendor,
            conn_id=wait.conn_id,
            label=wait.import_.label,
            import_id=wait.import_.import_id,
            import_url=self.import_url,
            waiting_since=state.started_at,
            deadline=state.deadline,
            polled_at=state.started_at if state.polled_at is None else state.polled_at,
            progress=state.progress.to_dict() if state.progress else None,
            progress_at=state.progress_at,
            percent_per_minute=wait.pace.percent_per_minute,
            ends_at=None if seconds_left is None else now + seconds_left,
            error=state.error,
            failures=state.failures,
            history=tuple(self.history.points),
            start=self.start,
        ).to_dict()

    def add_to_history(self) -> None:
        """Add the newest percentage to the history, whether it is written now or later."""
        progress, progress_at = self.wait.state.progress, self.wait.state.progress_at
        if progress is not None and progress.percent is not None and progress_at is not None:
            self.history.add(progress_at, progress.percent)

    def needs_url(self) -> bool:
        """Return True once, after the first successful poll: the address of the vendor's page must be read."""
        return not self._has_looked_for_url and self.wait.state.progress is not None

    def set_url(self, import_url: str | None) -> None:
        """
        Keep the address of the vendor's page of the import.

        :param import_url: The address, or None if none is known.
        """
        self.import_url, self._has_looked_for_url = import_url, True

    def log_failure(self, error: Exception) -> None:
        """Log the first write that failed. Later ones are not logged, because they would hide the log of the import."""
        if not self._has_failed:
            self._has_failed = True
            self.wait.log.info("The progress could not be published (%s: %s).", type(error).__name__, error)


class WorkerPublisher(Publisher):
    """Publish from a worker."""

    def publish(self) -> None:
        """Write, if a write is due or the wait is over."""
        if self.is_silent:
            return
        self.add_to_history()
        if self.seconds_until_due() > 0 and not self.wait.state.is_over:
            return
        try:
            if self.needs_url() and self.hook is not None:
                self.set_url(self.hook.import_url(self.wait.import_))
            push_xcom(self.ti, XCOM_KEY, self.next_to_write())
        except Exception as error:
            self.log_failure(error)


class TriggerPublisher(Publisher):
    """
    Publish from an event loop, beside the wait.

    :param wait: The wait.
    :param ti: The waiting task instance, or None if there is none.
    :param vendor: The vendor's name.
    :param stores_link: Whether to store the link of the task's button, because no worker has stored it.
    """

    def __init__(self, wait: Wait, ti: Any, vendor: str, *, stores_link: bool = False) -> None:
        super().__init__(wait, ti, vendor)
        self._stores_link = stores_link
        self._task: asyncio.Task[None] | None = None
        self._has_read_earlier = False

    def publish(self) -> None:
        """Write in the background once a write is due, if anything has changed."""
        if self.is_silent or self.wait.state.is_over:
            return
        self.add_to_history()
        if self._task is not None:
            return
        seconds = self.seconds_until_due()
        if seconds <= 0 or self.wait.state.reported != self._written:
            self._task = _in_background(self._write_in_turn(seconds))

    async def end(self) -> None:
        """Write the end of the wait."""
        if not self.is_silent:
            self.add_to_history()
            await asyncio.wait({_in_background(self._write())}, timeout=LAST_WRITE_TIMEOUT)

    async def _write_in_turn(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
        async with _write_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if not self.wait.state.is_over:
                began_at = time.monotonic()
                await self._write()
                await asyncio.sleep(PAUSE_PER_WRITE * (time.monotonic() - began_at))
        self._task = None
        # For changes during the write.
        self.publish()

    async def _write(self) -> None:
        try:
            if not self._has_read_earlier:
                # Until that has succeeded, nothing is written, which would replace what the worker has published. The
                # gap to the next attempt is that of writes.
                self._written_at = self.wait.clock()
                self._continue_earlier(await apull_xcom(self.ti, XCOM_KEY))
                self._has_read_earlier = True
            if self.needs_url() and self.hook is not None:
                self.set_url(await self.hook.aimport_url(self.wait.import_))
                if self._stores_link and self.import_url is not None:
                    await apush_xcom(self.ti, ImportLink.xcom_key, self.import_url)
            await apush_xcom(self.ti, XCOM_KEY, self.next_to_write())
        except Exception as error:
            self.log_failure(error)

    def _continue_earlier(self, value: Any) -> None:
        try:
            before = PublishedProgress.from_dict(value)
        except ValueError:
            return
        if (before.try_number, before.import_id) == (self.ti.try_number, self.wait.import_.import_id):
            self.history.go_on_from(before.history)
            self.start = before.start


def _in_background(write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(write)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task
