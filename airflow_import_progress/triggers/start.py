# SPDX-License-Identifier: Apache-2.0
"""The trigger with which a wait begins that no worker has begun."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.module_loading import import_string
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_import_progress.compat import forget_result, pull_result
from airflow_import_progress.triggers.import_progress import LAST_POLL_GRACE, ImportProgressTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_import_progress.hooks.base import Import


class StartImportProgressTrigger(BaseTrigger):
    """
    Begin a wait in the triggerer, and wait as :class:`ImportProgressTrigger` does.

    What cannot be made sense of here is left to a worker: the event is then ``{"status": "not_started", "reason":
    ...}``, and the sensor begins as if there were no such trigger.

    :param wait: The arguments of :class:`ImportProgressTrigger` that are the same for each run.
    :param timeout: How long the wait may last, in seconds.
    :param import_fields: The arguments of the import that are no templates.
    :param import_templates: The names of those that are; the triggerer renders the attributes of these names.
    :param conn_id_template: The name of the template of the connection.
    :param xcoms: The arguments that are results of other tasks: name to (task, key).
    :param templates: The templates by name.
    """

    def __init__(
        self,
        *,
        wait: dict[str, Any],
        timeout: float,
        import_fields: dict[str, Any],
        import_templates: list[str],
        conn_id_template: str,
        xcoms: dict[str, list[str]],
        **templates: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wait = wait
        self.timeout = timeout
        self.import_fields = import_fields
        self.import_templates = import_templates
        self.conn_id_template = conn_id_template
        self.xcoms = xcoms
        self._template_names = tuple(templates)
        for name, template in templates.items():
            setattr(self, name, template)
        self._not_rendered: Exception | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments from which the trigger can be made again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "wait": self.wait,
                "timeout": self.timeout,
                "import_fields": self.import_fields,
                "import_templates": self.import_templates,
                "conn_id_template": self.conn_id_template,
                "xcoms": self.xcoms,
                **{name: getattr(self, name) for name in self._template_names},
            },
        )

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """
        Render the templates, and let go of what only that takes.

        :param context: The context of the task instance.
        :param jinja_env: The environment of the templates; None: the DAG's.
        """
        try:
            super().render_template_fields(context, jinja_env)
        except Exception as error:
            self._not_rendered = error
        # Airflow makes a whole DAG for each trigger, megabytes of it, which would stay as long as the wait.
        cast("dict[str, Any]", context).clear()
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
        if self._not_rendered is not None:
            raise self._not_rendered
        values = {name: getattr(self, name) for name in self._template_names}
        for name, (task_id, key) in self.xcoms.items():
            values[name] = await pull_result(ti, task_id, key)
            if values[name] is None:
                raise ValueError(f"{name} is the result {key!r} of the task {task_id!r}, which there is not")
        import_class: type[Import] = import_string(self.wait["import_class"])
        fields = {name: values[name] for name in self.import_templates}
        import_ = import_class(**self.import_fields, **fields)
        started_at = self._started_at()
        trigger = ImportProgressTrigger(
            **self.wait,
            import_fields=import_.to_dict(),
            conn_id=_connection_id(values[self.conn_id_template]),
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


def _connection_id(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "{" in value:
        raise ValueError(f"{value!r} is no id of a connection")
    return value
