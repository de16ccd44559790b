# SPDX-License-Identifier: Apache-2.0
"""The trigger: one wait for one import on the triggerer's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_import_progress import clock
from airflow_import_progress.compat import AirflowSensorTimeout, import_string
from airflow_import_progress.compat.stored import has_own_xcom_backend, push_result
from airflow_import_progress.exceptions import ImportFailedError, ImportPollError, ImportProgressError
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.imports import Import
from airflow_import_progress.progress import ImportProgress
from airflow_import_progress.waiting.event import error_event, success_event
from airflow_import_progress.waiting.metrics import Metrics, recorder
from airflow_import_progress.waiting.poller import PolledImport
from airflow_import_progress.waiting.publishing import TriggerPublisher
from airflow_import_progress.waiting.rules import WaitRules
from airflow_import_progress.waiting.state import WaitState
from airflow_import_progress.waiting.wait import Wait

#: How long Airflow may take to store the result, in seconds, before a worker does it instead.
PUSH_TIMEOUT = 60.0
#: How long a poll that is under way at the deadline may still take, in seconds.
LAST_POLL_GRACE = 30.0


# Compared and shown as any trigger: the dataclass only declares the arguments.
@dataclass(kw_only=True, eq=False, repr=False)
class ImportProgressTrigger(BaseTrigger):
    """
    Wait until an import passes or fails, and fire once.

    With ``end_from_trigger`` a wait that passes ends the task, and its progress is the task's result. In all other
    cases a worker ends it. The event is then ``{"status": "success", "progress": {...}}`` or ``{"status": "error",
    "error": <name of the exception>, "message": ...}``.

    The arguments are plain JSON and hold no secret. Airflow stores them once, when the wait is deferred, so that any
    triggerer can continue it, after a restart too. Later versions may add optional arguments but neither remove nor
    rename any.

    :param import_class: Path of the :class:`~airflow_import_progress.imports.Import` subclass.
    :param import_fields: Its arguments.
    :param hook_class: Path of the vendor's hook.
    :param conn_id: The Airflow connection.
    :param rules: The rules of the wait (:class:`~airflow_import_progress.waiting.rules.WaitRules`).
    :param state: The state with which the triggerer takes it over
        (:class:`~airflow_import_progress.waiting.state.WaitState`). If its ``next_poll_at`` has passed, as after the
        restart of a triggerer, the first polls of all waits are spread over a short time.
    :param end_from_trigger: Whether a wait that passes ends the task without a worker.
    :param do_xcom_push: Whether the task's result is stored when it ends without a worker.
    """

    import_class: str
    import_fields: dict[str, Any]
    hook_class: str
    conn_id: str
    rules: dict[str, Any]
    state: dict[str, Any]
    end_from_trigger: bool = False
    do_xcom_push: bool = True

    def __post_init__(self) -> None:
        # Nothing is checked here: Airflow drops a trigger that cannot be made from its arguments, while an error
        # when it runs reaches the task.
        super().__init__()  # type: ignore[no-untyped-call]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which the trigger can be made again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {field.name: getattr(self, field.name) for field in fields(self)}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event. Every error becomes an event too, so that it reaches the task."""
        try:
            progress = await self._wait()
            if self.end_from_trigger and await self._stored(progress):
                yield TaskSuccessEvent()
                return
            event = success_event(progress)
        except (AirflowSensorTimeout, ImportFailedError, ImportProgressError) as error:
            event = error_event(error)
        except Exception as error:
            self.log.exception("The wait ends with an unexpected error.")
            event = error_event(error)
        yield TriggerEvent(event)

    async def _wait(self) -> ImportProgress:
        import_: Import = import_string(self.import_class)(**self.import_fields)
        hook_class: type[ImportProgressHook] = import_string(self.hook_class)
        await recorder.aload()
        wait = Wait(
            import_=import_,
            conn_id=self.conn_id,
            rules=WaitRules.from_dict(self.rules),
            state=WaitState.from_dict(self.state),
            log=self.log,
            clock=clock.current.time,
            metrics=Metrics(hook_class.conn_type, self.conn_id, self.task_instance),
        )
        has_polled = wait.state.has_polled
        publisher = TriggerPublisher(wait, self.task_instance, hook_class.hook_name, stores_link=not has_polled)
        if not has_polled:
            wait.begin()
        try:
            progress = await self._wait_until_over(wait, hook_class, publisher)
        except (AirflowSensorTimeout, ImportFailedError, ImportProgressError) as error:
            wait.end(error)
            await publisher.end()
            raise
        except Exception as error:
            wait.end(error)
            raise
        finally:
            # A wait that is cancelled publishes nothing more.
            wait.end()
        await publisher.end()
        return progress

    async def _wait_until_over(
        self, wait: Wait, hook_class: type[ImportProgressHook], publisher: TriggerPublisher
    ) -> ImportProgress:
        state = wait.state
        async with PolledImport(hook_class, self.conn_id, wait.import_, connection_is_known=state.has_polled) as polled:
            publisher.hook = polled.hook
            now = clock.current.time()
            due_in = 0.0 if state.next_poll_at is None else state.next_poll_at - now
            gap = min(wait.schedule.gap_after_takeover(due_in), max(state.deadline - now, 0.0))
            while True:
                try:
                    # One timer for the whole wait, because a poll may have to queue past the deadline.
                    async with asyncio.timeout(None) as timer:
                        return await self._poll_until_over(wait, polled, gap, timer, publisher)
                except TimeoutError:
                    # Without a failure if the clock was set back meanwhile: that gives the wait more time.
                    gap = 0.0
                    if clock.current.time() >= state.deadline:
                        words, is_rate_limited = "The poll was still under way at the deadline.", False
                        if polled.is_paused:
                            words = "The poll was not sent by the deadline, because the vendor asks to wait."
                            is_rate_limited = polled.is_rate_limited
                        elif polled.is_queued:
                            words = "The deadline was over before the poll's turn within the vendor's rate limit."
                            is_rate_limited = True
                        gap = wait.on_error(ImportPollError(words, transient=True, rate_limited=is_rate_limited))

    async def _poll_until_over(
        self, wait: Wait, polled: PolledImport, gap: float, timer: asyncio.Timeout, publisher: TriggerPublisher
    ) -> ImportProgress:
        state = wait.state
        while True:
            await polled.sleep(max(0.0, gap))
            # The deadline is on the wall clock, the timer on that of the event loop.
            clock.current.expire(timer, max(0.0, state.deadline - clock.current.time()) + LAST_POLL_GRACE)
            try:
                progress = await polled.get_progress()
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
        # "airflow dags test" passes no task instance to a trigger, and ends the task itself. An XCom backend may have
        # been configured after the task was deferred.
        if self.task_instance is None or has_own_xcom_backend():
            return False
        try:
            async with asyncio.timeout(PUSH_TIMEOUT):
                await push_result(self.task_instance, progress.to_dict())
        except Exception:
            self.log.warning("The result could not be stored from here, so a worker ends the task.", exc_info=True)
            return False
        return True
