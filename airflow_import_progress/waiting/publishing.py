# SPDX-License-Identifier: Apache-2.0
"""
Publish how far a wait's import is, for people to look at while it waits.

It is written when something changed, at most every :data:`MIN_WRITE_GAP` seconds, and now and then if nothing did.
Whatever becomes of a write, the wait goes on: what is published decides nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from airflow_import_progress.compat import apull_xcom, apush_xcom, publishes_progress, push_xcom
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.links import ImportLink
from airflow_import_progress.waiting.published import XCOM_KEY, History, PublishedProgress
from airflow_import_progress.waiting.wait import Wait

#: No wait writes sooner than this after its last write, in seconds.
MIN_WRITE_GAP = 5.0
#: A wait that hears nothing new still tells when it asked last, this often in seconds.
MAX_WRITE_GAP = 120.0
#: The waits of a triggerer write one after the other, with a pause so many times as long as the write took: most of the
#: time of its supervisor, through which all goes, is for the rest.
PAUSE_PER_WRITE = 4.0
#: How long the end of a wait is held back to be published, in seconds.
LAST_WRITE_TIMEOUT = 5.0

#: Whose turn it is to write, on each event loop.
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
#: What is under way. No write is ever cancelled: Airflow 3.1 would take its answer for that of another message.
_tasks: set[asyncio.Task[None]] = set()


class Publisher:
    """
    Publish what one wait knows.

    :param wait: The wait.
    :param ti: The waiting task instance, or None if there is none; then nothing is published.
    :param vendor: The vendor's name.
    """

    def __init__(self, wait: Wait, ti: Any, vendor: str) -> None:
        self.wait = wait
        self.ti = ti
        self.vendor = vendor
        self.is_silent = ti is None or not publishes_progress()
        #: Through which the import is asked for, once it is.
        self.hook: ImportProgressHook | None = None
        self.import_url: str | None = None
        self.history = History()
        self._written: tuple[Any, ...] | None = None
        self._written_at = 0.0
        self._has_looked_for_url = False
        self._has_failed = False

    def seconds_until_due(self) -> float:
        """Return how long to wait before the next write, if nothing new is heard meanwhile."""
        gap = MAX_WRITE_GAP if self.wait.state.reported == self._written else MIN_WRITE_GAP
        return self._written_at + gap - self.wait.clock()

    def next_to_write(self) -> dict[str, Any]:
        """Return what is to be written now, and take it for written."""
        self._written, self._written_at = self.wait.state.reported, self.wait.clock()
        published = self.wait.to_publish(try_number=self.ti.try_number, vendor=self.vendor)
        history = tuple(self.history.points)
        return replace(published, import_url=self.import_url, history=history).to_dict()

    def take_note(self) -> None:
        """Keep the newest percentage for the history, whether it is written now or later."""
        progress, progress_at = self.wait.state.progress, self.wait.state.progress_at
        if progress is not None and progress.percent is not None and progress_at is not None:
            self.history.add(progress_at, progress.percent)

    def lacks_url(self) -> bool:
        """Tell whether it is time to find out where the vendor shows the import: once, when a poll got through."""
        return not self._has_looked_for_url and self.wait.state.progress is not None

    def take_url(self, import_url: str | None) -> None:
        """
        Keep where the vendor shows the import.

        :param import_url: The address, or None if none is known.
        """
        self.import_url, self._has_looked_for_url = import_url, True

    def log_failure(self, error: Exception) -> None:
        """
        Log that a write failed, once: whoever reads the log of a task looks for what became of the import.

        :param error: Why.
        """
        if not self._has_failed:
            self._has_failed = True
            self.wait.log.info("How far the import is could not be published (%s: %s).", type(error).__name__, error)


class WorkerPublisher(Publisher):
    """Publish from a worker."""

    def publish(self) -> None:
        """Write, if it is time to or the wait is over."""
        if self.is_silent:
            return
        self.take_note()
        if self.seconds_until_due() > 0 and not self.wait.state.is_over:
            return
        try:
            if self.lacks_url() and self.hook is not None:
                self.take_url(self.hook.import_url(self.wait.import_))
            push_xcom(self.ti, XCOM_KEY, self.next_to_write())
        except Exception as error:
            self.log_failure(error)


class TriggerPublisher(Publisher):
    """
    Publish from an event loop, beside the wait.

    :param wait: The wait.
    :param ti: The waiting task instance, or None if there is none.
    :param vendor: The vendor's name.
    :param stores_link: Whether to store where the task's button leads to, which otherwise a worker has done.
    """

    def __init__(self, wait: Wait, ti: Any, vendor: str, *, stores_link: bool = False) -> None:
        super().__init__(wait, ti, vendor)
        self._stores_link = stores_link
        self._task: asyncio.Task[None] | None = None
        self._knows_the_past = False

    def publish(self) -> None:
        """Write in the background when it is time to, if there is anything to write."""
        if self.is_silent or self.wait.state.is_over:
            return
        self.take_note()
        if self._task is not None:
            return
        seconds = self.seconds_until_due()
        if seconds <= 0 or self.wait.state.reported != self._written:
            self._task = _in_background(self._write_in_turn(seconds))

    async def end(self) -> None:
        """Write how the wait ended."""
        if not self.is_silent:
            self.take_note()
            await asyncio.wait({_in_background(self._write())}, timeout=LAST_WRITE_TIMEOUT)

    async def _write_in_turn(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
        async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if not self.wait.state.is_over:
                began_at = time.monotonic()
                await self._write()
                await asyncio.sleep(PAUSE_PER_WRITE * (time.monotonic() - began_at))
        self._task = None
        # What was heard meanwhile.
        self.publish()

    async def _write(self) -> None:
        try:
            if not self._knows_the_past:
                self._knows_the_past = True
                self._remember(await apull_xcom(self.ti, XCOM_KEY))
            if self.lacks_url() and self.hook is not None:
                self.take_url(await self.hook.aimport_url(self.wait.import_))
                if self._stores_link and self.import_url is not None:
                    await apush_xcom(self.ti, ImportLink.xcom_key, self.import_url)
            await apush_xcom(self.ti, XCOM_KEY, self.next_to_write())
        except Exception as error:
            self.log_failure(error)

    def _remember(self, value: Any) -> None:
        try:
            before = PublishedProgress.from_dict(value)
        except ValueError:
            return
        if (before.try_number, before.import_id) == (self.ti.try_number, self.wait.import_.import_id):
            self.history.go_on_from(before.history)


def _in_background(write: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task: asyncio.Task[None] = asyncio.get_running_loop().create_task(write)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task
