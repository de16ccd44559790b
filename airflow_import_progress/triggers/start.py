# SPDX-License-Identifier: Apache-2.0
"""The trigger with which a wait begins that no worker has begun."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_import_progress.compat import forget_result, import_string, pull_result
from airflow_import_progress.triggers.import_progress import LAST_POLL_GRACE, ImportProgressTrigger

if TYPE_CHECKING:
    from airflow_import_progress.compat import Context
    from airflow_import_progress.hooks.base import Import


class StartImportProgressTrigger(BaseTrigger):
    """
    Begin a wait in the triggerer, and wait as :class:`ImportProgressTrigger` does.

    A wait that cannot begin here is left to a worker: the event is then ``{"status": "not_started", "reason": ...}``,
    and the sensor begins as if there were no such trigger.

    :param wait: The arguments of :class:`ImportProgressTrigger` that are the same for each run.
    :param timeout: How long the wait may last, in seconds.
    :param conn_id: The Airflow connection.
    :param import_fields: The arguments of the import that are literals.
    :param xcoms: Those that are results of other tasks: name to (task, key).
    """

    def __init__(
        self,
        *,
        wait: dict[str, Any],
        timeout: float,
        conn_id: str,
        import_fields: dict[str, Any],
        xcoms: dict[str, list[str]],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wait = wait
        self.timeout = timeout
        self.conn_id = conn_id
        self.import_fields = import_fields
        self.xcoms = xcoms

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which the trigger can be made again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "wait": self.wait,
                "timeout": self.timeout,
                "conn_id": self.conn_id,
                "import_fields": self.import_fields,
                "xcoms": self.xcoms,
            },
        )

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """
        Render nothing, since no argument is a template, and release the DAG that Airflow made for it.

        :param context: The context of the task instance.
        :param jinja_env: The environment of the templates.
        """
        # Airflow makes a DAG for each trigger that starts a task, hundreds of kilobytes that would stay as long as
        # the wait. The rest of the context is left as it is.
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
            yield TriggerEvent({"status": "not_started", "reason": f"{type(error).__name__}: {error}"})
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
        import_class: type[Import] = import_string(self.wait["import_class"])
        import_ = import_class(**self.import_fields, **results)
        started_at = self._started_at()
        trigger = ImportProgressTrigger(
            **self.wait,
            import_fields=import_.to_dict(),
            conn_id=self.conn_id,
            started_at=started_at,
            deadline=started_at + self.timeout,
            first_poll_at=started_at,
            polled_before=False,
        )
        trigger.task_instance = ti
        return trigger

    def _started_at(self) -> float:
        # Airflow keeps when it gives the wait up, whichever triggerer runs it how often.
        gives_up_at: datetime | None = getattr(self, "timeout_after", None)
        if gives_up_at is None:
            return time.time()
        if gives_up_at.tzinfo is None:
            gives_up_at = gives_up_at.replace(tzinfo=UTC)
        return gives_up_at.timestamp() - self.timeout - 2 * LAST_POLL_GRACE
