# SPDX-License-Identifier: Apache-2.0
"""The trigger of a wait that begins without a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_import_progress import clock
from airflow_import_progress.compat import import_string
from airflow_import_progress.compat.stored import forget_result, pull_result
from airflow_import_progress.triggers.import_progress import LAST_POLL_GRACE, ImportProgressTrigger
from airflow_import_progress.waiting.event import not_started_event
from airflow_import_progress.waiting.state import WaitState

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context
    from airflow_import_progress.imports import Import


# Compared and shown as any trigger: the dataclass only declares the arguments.
@dataclass(kw_only=True, eq=False, repr=False)
class StartImportProgressTrigger(BaseTrigger):
    """
    Begin a wait in the triggerer, and wait as :class:`.ImportProgressTrigger` does.

    A wait that cannot begin here begins on a worker: the event is then ``{"status": "not_started", "reason": ...}``,
    and the sensor waits as if it had not been started from a trigger.

    :param import_class: As for :class:`.ImportProgressTrigger`.
    :param import_fields: The arguments of the import that are literals.
    :param xcoms: The arguments of the import that are results of other tasks: name to (task, key).
    :param hook_class: As for :class:`.ImportProgressTrigger`.
    :param conn_id: The Airflow connection.
    :param rules: The rules of the wait.
    :param timeout: How long the wait may last, in seconds.
    :param end_from_trigger: Whether a wait that passes ends the task without a worker.
    :param do_xcom_push: Whether the task's result is stored when it ends without a worker.
    """

    import_class: str
    import_fields: dict[str, Any]
    xcoms: dict[str, list[str]]
    hook_class: str
    conn_id: str
    rules: dict[str, Any]
    timeout: float
    end_from_trigger: bool = False
    do_xcom_push: bool = True

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which the trigger can be made again."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {field.name: getattr(self, field.name) for field in fields(self)}

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """
        Render nothing, since no argument is a template, and release the DAG that Airflow made for it.

        :param context: The context of the task instance.
        :param jinja_env: The environment of the templates.
        """
        # Airflow makes a DAG for each trigger that starts a task: hundreds of kilobytes that would stay in memory as
        # long as the wait. The rest of the context is unchanged.
        for name in ("dag", "task"):
            cast("dict[str, Any]", context).pop(name, None)
        ti: Any = self.task_instance
        ti.task = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event."""
        try:
            trigger = await self._begun()
        except Exception as error:
            self.log.info("The wait begins on a worker: %s: %s", type(error).__name__, error)
            yield TriggerEvent(not_started_event(error))
            return
        async for event in trigger.run():
            yield event

    async def _begun(self) -> ImportProgressTrigger:
        ti: Any = self.task_instance
        if ti.try_number > 1:
            await forget_result(ti)
        results = {}
        for name, (task_id, key) in self.xcoms.items():
            results[name] = await pull_result(ti, task_id, key)
            if results[name] is None:
                raise ValueError(f"{name}: the task {task_id!r} has pushed no XCom {key!r}")
        import_class: type[Import] = import_string(self.import_class)
        import_ = import_class(**self.import_fields, **results)
        started_at = self._started_at()
        state = WaitState(started_at=started_at, deadline=started_at + self.timeout, next_poll_at=started_at)
        trigger = ImportProgressTrigger(
            import_class=self.import_class,
            import_fields=import_.to_dict(),
            hook_class=self.hook_class,
            conn_id=self.conn_id,
            rules=self.rules,
            state=state.to_dict(),
            end_from_trigger=self.end_from_trigger,
            do_xcom_push=self.do_xcom_push,
        )
        trigger.task_instance = ti
        return trigger

    def _started_at(self) -> float:
        # Derived from the time when Airflow gives the deferral up, which is the same after a restart of the triggerer.
        gives_up_at: datetime | None = getattr(self, "timeout_after", None)
        if gives_up_at is None:
            return clock.current.time()
        if gives_up_at.tzinfo is None:
            gives_up_at = gives_up_at.replace(tzinfo=UTC)
        return clock.current.time_of(gives_up_at - timedelta(seconds=self.timeout + 2 * LAST_POLL_GRACE))
