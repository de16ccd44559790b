# SPDX-License-Identifier: Apache-2.0
"""
Which waits can start and end in the triggerer, without any worker.

Only literals and the results of other tasks are resolved in the triggerer. Airflow 3.3 renders templates there as well,
but some make the trigger fail and some make it hang, so a wait with a template starts on a worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_import_progress.compat import (
    has_listeners,
    has_own_xcom_backend,
    has_post_execute,
    has_pre_execute,
    source_of,
    waits_without_workers,
)
from airflow_import_progress.sensors.arguments import NOT_GIVEN, is_resolved_later

if TYPE_CHECKING:
    from airflow_import_progress.sensors.base import BaseImportSensor


def reason_to_start_on_a_worker(sensor: BaseImportSensor) -> str | None:
    """
    Return the reason why a sensor cannot start in the triggerer, or None if it can.

    :param sensor: The sensor.
    """
    return next(_reasons_to_start_on_a_worker(sensor), None)


def reason_to_end_on_a_worker(sensor: BaseImportSensor) -> str | None:
    """
    Return the reason why a sensor cannot end in the triggerer, or None if it can.

    :param sensor: The sensor.
    """
    if not waits_without_workers():
        return "it needs Airflow 3.3 or later"
    if has_listeners():
        return "only a worker calls the listeners of plugins"
    if has_own_xcom_backend():
        return "the XCom backend would store its result on the event loop of all waits"
    if sensor.outlets:
        return "only a worker reports outlets to Airflow"
    if has_post_execute(sensor):
        return "only a worker calls post_execute"
    if method := sensor._overridden("post_execute", "execute_complete", "resume_execution"):
        return f"only a worker calls {method}"
    if sensor.multiple_outputs:
        return "only a worker stores multiple outputs"
    if next(iter(sensor.iter_mapped_dependants()), None) is not None:
        return "a mapped task depends on its result"
    return None


def _reasons_to_start_on_a_worker(sensor: BaseImportSensor) -> Iterator[str]:
    if not waits_without_workers():
        yield "it needs Airflow 3.3 or later"
        return
    if not sensor.has_dag():  # type: ignore[no-untyped-call]
        yield "it is not in a DAG"
        return
    if sensor.get_closest_mapped_task_group() is not None:
        yield "it is in a mapped task group"
    if sensor.execution_timeout is not None:
        yield "execution_timeout would count for the whole wait"
    if has_pre_execute(sensor):
        yield "only a worker calls pre_execute"
    if method := sensor._overridden("pre_execute", "execute", "render_template_fields", "get_import", "get_hook"):
        yield f"only a worker calls {method}"
    if sensor.on_execute_callback:
        yield "only a worker calls on_execute_callback"
    if has_own_xcom_backend():
        yield "the XCom backend would read results on the event loop of all waits"
    for name in sensor.template_fields:
        value = getattr(sensor, name)
        if is_resolved_later(value) and (reason := _reason_to_resolve_on_a_worker(sensor, name, value)):
            yield f"{name} {reason}"


def _reason_to_resolve_on_a_worker(sensor: BaseImportSensor, name: str, value: Any) -> str | None:
    if isinstance(value, str):
        return "is a template"
    if name not in {field.name for field in fields(sensor.import_class)}:
        return "is not a literal"
    if source_of(value) is None:
        return "is more than the result of one task that is not mapped"
    return None


def start_trigger_arguments(sensor: BaseImportSensor, wait: dict[str, Any]) -> dict[str, Any]:
    """
    Return the arguments of the trigger with which a sensor starts.

    :param sensor: The sensor.
    :param wait: The arguments of the wait that are the same for each run.
    """
    values = {
        field.name: value
        for field in fields(sensor.import_class)
        if (value := getattr(sensor, field.name)) is not NOT_GIVEN
    }
    xcoms = {name: source_of(value) for name, value in values.items() if is_resolved_later(value)}
    return {
        "wait": wait,
        "timeout": float(sensor.timeout),
        "conn_id": getattr(sensor, sensor.hook_class.conn_name_attr),
        "import_fields": {name: _as_json(value) for name, value in values.items() if name not in xcoms},
        "xcoms": {name: list(source) for name, source in xcoms.items() if source is not None},
    }


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
