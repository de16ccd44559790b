# SPDX-License-Identifier: Apache-2.0
"""The trigger: one wait for one import on the triggerer's event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_import_progress.compat import AirflowSensorTimeout, has_own_xcom_backend, import_string, push_result
from airflow_import_progress.exceptions import ImportFailedError, ImportPollError, ImportProgressError
from airflow_import_progress.hooks.base import Import, ImportProgressHook
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.waiting.gate import Gate
from airflow_import_progress.waiting.poller import PolledImport
from airflow_import_progress.waiting.publishing import TriggerPublisher
from airflow_import_progress.waiting.schedule import MIN_POKE_INTERVAL, Schedule
from airflow_import_progress.waiting.wait import WAIT_ERRORS, Wait

#: How long Airflow may take to store the result, in seconds, before a worker is asked to do it.
PUSH_TIMEOUT = 60.0
#: How long a poll that is under way at the deadline may still take, in seconds.
LAST_POLL_GRACE = 30.0


class ImportProgressTrigger(BaseTrigger):
    """
    Wait until an import passes or fails, and fire once.

    With ``end_from_trigger`` a wait that passes ends the task, and its progress is the task's result. In all other
    cases a worker ends it. The event is then ``{"status": "success", "progress": {...}}`` or ``{"status": "error",
    "error": <name of the exception>, "message": ...}``.

    The arguments are plain JSON and hold no secret. They are stored while the wait lasts, so later versions may
    add optional ones but neither remove nor rename any.

    :param import_class: Path of the :class:`~airflow_import_progress.hooks.base.Import` subclass.
    :param import_fields: Its arguments.
    :param hook_class: Path of the vendor's hook.
    :param conn_id: The Airflow connection.
    :param started_at: When the wait began, in seconds since the epoch.
    :param deadline: When it ends at the latest, in seconds since the epoch.
    :param first_poll_at: When to poll first, in seconds since the epoch. If that has passed, as when a triggerer
        restarts, first polls are spread over a short time.
    :param poke_interval: Longest gap between two polls, in seconds.
    :param min_poke_interval: Shortest gap, kept where the pace of the import says that it is about to end.
    :param exponential_backoff: Whether the gap doubles from poll to poll.
    :param max_wait: Longest gap that the doubling may reach, in seconds, or None.
    :param max_consecutive_failures: How many polls in a row may not get through before the wait gives up.
    :param failures: How many did not before the trigger began.
    :param silent_fail: Whether to go on after errors that would end the wait.
    :param last_warning: The warning of the progress that was logged before the trigger began, if any.
    :param gate: The arguments of :class:`~airflow_import_progress.waiting.gate.Gate`.
    :param last_observation: The newest percentage before the trigger began and when it was seen, in seconds since
        the epoch, if any.
    :param end_from_trigger: Whether a wait that passes ends the task without a worker.
    :param do_xcom_push: Whether the task's result is stored when it ends without a worker.
    :param polled_before: Whether a worker has polled before the trigger began.
    """

    def __init__(
        self,
        *,
        import_class: str,
        import_fields: dict[str, Any],
        hook_class: str,
        conn_id: str,
        started_at: float,
        deadline: float,
        first_poll_at: float,
        poke_interval: float,
        min_poke_interval: float = MIN_POKE_INTERVAL,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        max_consecutive_failures: int = 10,
        failures: int = 0,
        silent_fail: bool = False,
        gate: dict[str, Any] | None = None,
        last_warning: str | None = None,
        last_observation: Sequence[float] | None = None,
        end_from_trigger: bool = False,
        do_xcom_push: bool = True,
        polled_before: bool = True,
    ) -> None:
        # Nothing is checked here: a trigger that cannot be made from its arguments is lost, while one that
        # fails when it runs is heard.
        super().__init__()  # type: ignore[no-untyped-call]
        self.import_class = import_class
        self.import_fields = import_fields
        self.hook_class = hook_class
        self.conn_id = conn_id
        self.started_at = started_at
        self.deadline = deadline
        self.first_poll_at = first_poll_at
        self.poke_interval = poke_interval
        self.min_poke_interval = min_poke_interval
        self.exponential_backoff = exponential_backoff
        self.max_wait = max_wait
        self.max_consecutive_failures = max_consecutive_failures
        self.failures = failures
        self.silent_fail = silent_fail
        self.gate = gate
        self.last_warning = last_warning
        self.last_observation = last_observation
        self.end_from_trigger = end_from_trigger
        self.do_xcom_push = do_xcom_push
        self.polled_before = polled_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which the trigger can be made again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "import_class": self.import_class,
                "import_fields": self.import_fields,
                "hook_class": self.hook_class,
                "conn_id": self.conn_id,
                "started_at": self.started_at,
                "deadline": self.deadline,
                "first_poll_at": self.first_poll_at,
                "poke_interval": self.poke_interval,
                "min_poke_interval": self.min_poke_interval,
                "exponential_backoff": self.exponential_backoff,
                "max_wait": self.max_wait,
                "max_consecutive_failures": self.max_consecutive_failures,
                "failures": self.failures,
                "silent_fail": self.silent_fail,
                "gate": self.gate,
                "last_warning": self.last_warning,
                "last_observation": self.last_observation,
                "end_from_trigger": self.end_from_trigger,
                "do_xcom_push": self.do_xcom_push,
                "polled_before": self.polled_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event. Whatever goes wrong becomes an event too, so that the task hears of it."""
        try:
            progress = await self._wait()
            if self.end_from_trigger and await self._stored(progress):
                yield TaskSuccessEvent()
                return
            event: dict[str, Any] = {"status": "success", "progress": progress.to_dict()}
        except (AirflowSensorTimeout, ImportFailedError, ImportProgressError) as error:
            event = _error_event(error)
        except Exception as error:
            self.log.exception("The wait ends with an error that nobody foresaw.")
            event = _error_event(error)
        yield TriggerEvent(event)

    async def _wait(self) -> ImportProgress:
        import_: Import = import_string(self.import_class)(**self.import_fields)
        hook_class: type[ImportProgressHook] = import_string(self.hook_class)
        wait = Wait(
            import_=import_,
            conn_id=self.conn_id,
            gate=Gate(**({} if self.gate is None else self.gate)),
            schedule=Schedule(
                poke_interval=self.poke_interval,
                min_poke_interval=self.min_poke_interval,
                exponential_backoff=self.exponential_backoff,
                max_wait=self.max_wait,
            ),
            started_at=self.started_at,
            deadline=self.deadline,
            max_consecutive_failures=self.max_consecutive_failures,
            failures=self.failures,
            silent_fail=self.silent_fail,
            log=self.log,
            last_warning=self.last_warning,
            last_observation=(self.last_observation[0], self.last_observation[1]) if self.last_observation else None,
        )
        publisher = TriggerPublisher(wait, self.task_instance, hook_class.hook_name, stores_link=not self.polled_before)
        if not self.polled_before:
            wait.begin()
        try:
            progress = await self._wait_until_over(wait, hook_class, publisher)
        except (AirflowSensorTimeout, ImportFailedError, ImportProgressError) as error:
            wait.end(error)
            await publisher.end()
            raise
        finally:
            # One that is cancelled says no more.
            wait.end()
        await publisher.end()
        return progress

    async def _wait_until_over(
        self, wait: Wait, hook_class: type[ImportProgressHook], publisher: TriggerPublisher
    ) -> ImportProgress:
        async with PolledImport(
            hook_class, self.conn_id, wait.import_, connection_is_known=self.polled_before
        ) as watch:
            publisher.hook = watch.hook
            now = time.time()
            gap = min(wait.schedule.gap_before_first_poll(self.first_poll_at - now), max(self.deadline - now, 0.0))
            while True:
                try:
                    # One timer for the whole wait: a poll may have to queue for longer than is left.
                    async with asyncio.timeout(None) as timer:
                        return await self._poll_until_over(wait, watch, gap, timer, publisher)
                except TimeoutError:
                    # A clock that was set back since gives the wait more time, and costs it no failure.
                    gap = 0.0
                    if time.time() >= self.deadline:
                        words = "The poll was still under way at the deadline."
                        if watch.is_paused:
                            words = "The poll was not sent by the deadline, because the vendor asks to wait."
                        gap = wait.on_error(ImportPollError(words, transient=True, rate_limited=watch.is_rate_limited))

    async def _poll_until_over(
        self, wait: Wait, watch: PolledImport, gap: float, timer: asyncio.Timeout, publisher: TriggerPublisher
    ) -> ImportProgress:
        while True:
            await watch.sleep(max(0.0, gap))
            self._set(timer)
            try:
                progress = await watch.get_progress()
            except ImportProgressError as error:
                gap = wait.on_error(error)
            else:
                next_gap = wait.on_progress(progress)
                if next_gap is None:
                    return progress
                gap = next_gap
            publisher.publish()

    async def _stored(self, progress: ImportProgress) -> bool:
        if not self.do_xcom_push:
            return True
        # "airflow dags test" gives a trigger none, and ends the task itself. A backend of XCom may have been
        # configured after the task was deferred.
        if self.task_instance is None or has_own_xcom_backend():
            return False
        try:
            async with asyncio.timeout(PUSH_TIMEOUT):
                await push_result(self.task_instance, progress.to_dict())
        except Exception:
            self.log.warning("The result could not be stored from here, so a worker ends the task.", exc_info=True)
            return False
        return True

    def _set(self, timer: asyncio.Timeout) -> None:
        at = asyncio.get_running_loop().time() + max(0.0, self.deadline - time.time()) + LAST_POLL_GRACE
        # The deadline is the wall clock's, the timer's is another one.
        if (set_to := timer.when()) is None or abs(set_to - at) > 1:
            timer.reschedule(at)


def _error_event(error: Exception) -> dict[str, Any]:
    # By the nearest class that the worker can raise: a vendor's module may have some of its own.
    names = [cls.__name__ for cls in type(error).__mro__]
    name = next((name for name in names if name in WAIT_ERRORS), names[0])
    return {"status": "error", "error": name, "message": str(error)}
