# SPDX-License-Identifier: Apache-2.0
"""Run one task without a DAG run, and without Airflow's database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import pytest
from airflow.triggers.base import TaskSuccessEvent

from airflow_import_progress.compat import DAG, AirflowRescheduleException, BaseOperator, TaskDeferred, import_string
from airflow_import_progress.compat.in_process import executing
from airflow_import_progress.compat.stored import has_task_state_store
from airflow_import_progress.starting import store
from airflow_import_progress.waiting import publishing


class _TaskInstance:
    """The part of a task instance that the package uses."""

    run_id = "import_sandbox"
    map_index = -1
    try_number = 1
    max_tries = 0

    def __init__(self, task: BaseOperator) -> None:
        self.task_id = task.task_id
        self.dag_id = task.dag_id
        self._started_at = datetime.now(UTC)
        self.is_rescheduled = False

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self._started_at if self.is_rescheduled else None

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep no XCom."""


class _Stored:
    """Values in memory, as in the task state store or in Variables: plain JSON."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self._values[key]) if key in self._values else default

    def set(self, key: str, value: Any, description: str = "", *, retention: Any = None) -> None:
        self._values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self._values.pop(key, None)


def run(task: BaseOperator) -> Any:
    """
    Run a task to its end in its own mode, and return its result.

    :param task: The sensor or operator. Its arguments are taken as they are: templates are not rendered.
    """
    if not task.has_dag():
        # Parts of Airflow need one.
        DAG("import_sandbox", schedule=None).add_task(task)
    stored, ti = _Stored(), _TaskInstance(task)
    context = cast("Any", {"ti": ti, **({"task_state_store": stored} if has_task_state_store() else {})})
    with _without_airflow(stored), executing(task, context) as execute:
        call = execute
        while True:
            try:
                return call()
            except AirflowRescheduleException:
                ti.is_rescheduled = True
            except TaskDeferred as deferred:
                event = asyncio.run(_first_event(*deferred.trigger.serialize()))
                if isinstance(event, TaskSuccessEvent):
                    return None
                kwargs = {**(deferred.kwargs or {}), "event": event}
                call = partial(task.resume_execution, deferred.method_name, kwargs, context)


@contextmanager
def _without_airflow(stored: _Stored) -> Iterator[None]:
    """Store nothing in Airflow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "publishes_progress", lambda: False)
        patch.setattr(store, "get_variable", stored.get)
        patch.setattr(store, "set_variable", stored.set)
        patch.setattr(store, "delete_variable", stored.delete)
        yield


async def _first_event(path: str, arguments: Mapping[str, Any]) -> Any:
    """Run a trigger as the triggerer does, from what is stored of it, and return what a worker gets."""
    trigger = import_string(path)(**json.loads(json.dumps(arguments)))
    async with aclosing(trigger.run()) as events:
        async for event in events:
            return event if isinstance(event, TaskSuccessEvent) else json.loads(json.dumps(event.payload))
