# SPDX-License-Identifier: Apache-2.0
"""
Which waits can start and end in the triggerer, without any worker.

Airflow 3.3 renders templates in the triggerer, but not all: some make the trigger fail, and some make it hang. So a
sensor finds out while the DAG is parsed, and starts on a worker whatever is not known to work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_import_progress.compat import has_listeners, is_mapped, source_of, waits_without_workers

if TYPE_CHECKING:
    from airflow_import_progress.sensors.base import BaseImportSensor

#: What a template may name: what the triggerer knows as a worker does.
NAMES = frozenset(
    {
        "data_interval_end",
        "data_interval_start",
        "ds",
        "ds_nodash",
        "logical_date",
        "run_id",
        "ts",
        "ts_nodash",
        "ts_nodash_with_tz",
    }
)
#: The filters that Airflow gives to all templates.
FILTERS = frozenset({"ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "lower", "replace", "trim", "upper"})


def reason_to_start_on_a_worker(sensor: BaseImportSensor) -> str | None:
    """
    Return why a sensor cannot start in the triggerer, or None if it can.

    :param sensor: The sensor.
    """
    return next(_reasons_to_start_on_a_worker(sensor), None)


def reason_to_end_on_a_worker(sensor: BaseImportSensor) -> str | None:
    """
    Return why a sensor cannot end in the triggerer, or None if it can.

    :param sensor: The sensor.
    """
    if not waits_without_workers():
        return "it needs Airflow 3.3 or later"
    if has_listeners():
        return "only a worker tells the listeners of plugins"
    if sensor.outlets:
        return "only a worker tells Airflow of the outlets"
    if getattr(sensor, "_post_execute_hook", None) is not None:
        return "only a worker calls post_execute"
    if sensor.multiple_outputs:
        return "only a worker stores multiple outputs"
    if next(iter(sensor.iter_mapped_dependants()), None) is not None:
        return "a mapped task depends on its result"
    return None


def _reasons_to_start_on_a_worker(sensor: BaseImportSensor) -> Iterator[str]:
    if not waits_without_workers():
        yield "it needs Airflow 3.3 or later"
        return
    if is_mapped(sensor):
        yield "Airflow starts no mapped task in the triggerer"
    if not sensor.has_dag():  # type: ignore[no-untyped-call]
        yield "it is in no DAG"
        return
    if sensor.get_closest_mapped_task_group() is not None:
        yield "it is in a mapped task group"
    if sensor.execution_timeout is not None:
        yield "execution_timeout would count for the whole wait"
    if getattr(sensor, "_pre_execute_hook", None) is not None:
        yield "only a worker calls pre_execute"
    if sensor.on_execute_callback:
        yield "only a worker calls on_execute_callback"
    for name in sensor.template_fields:
        value = getattr(sensor, name)
        reason = _reason_not_to_render(sensor, value) if isinstance(value, str) else _reason_not_to_resolve(value)
        if reason:
            yield f"{name} {reason}"


def _reason_not_to_resolve(value: Any) -> str | None:
    if value is None or not hasattr(value, "iter_references"):
        return None
    if source_of(value) is None:
        return "is more than the result of one task that is not mapped"
    return None


def _reason_not_to_render(sensor: BaseImportSensor, template: str) -> str | None:
    if not any(mark in template for mark in ("{{", "{%", "{#")):
        return None
    dag = sensor.get_dag()
    if dag is not None and dag.render_template_as_native_obj:
        return "is rendered to a native object"
    from jinja2 import TemplateError

    try:
        parsed = sensor.get_template_env().parse(template)
    except TemplateError:
        return "is no template that can be parsed"
    odd = next(_odd_parts(parsed), None)
    return f"has a template with {odd}, which only a worker is known to render" if odd else None


def _odd_parts(node: Any) -> Iterator[str]:
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        if node.name not in NAMES:
            yield repr(node.name)
    elif isinstance(node, nodes.Filter):
        if node.name not in FILTERS:
            yield f"the filter {node.name!r}"
    elif not isinstance(
        node,
        nodes.Template
        | nodes.Output
        | nodes.TemplateData
        | nodes.Const
        | nodes.Getattr
        | nodes.Getitem
        | nodes.Slice
        | nodes.Call
        | nodes.Keyword
        | nodes.Concat
        | nodes.Add,
    ):
        yield f"a {type(node).__name__.lower()}"
    elif isinstance(node, nodes.Call) and _is_pull_of_one(node):
        return
    for child in node.iter_child_nodes():
        yield from _odd_parts(child)


def _is_pull_of_one(call: Any) -> bool:
    """Tell whether this is ``ti.xcom_pull(...)`` with one map index, all other forms of which hang Airflow 3.3.2."""
    from jinja2 import nodes

    function = call.node
    if not (
        isinstance(function, nodes.Getattr)
        and function.attr == "xcom_pull"
        and isinstance(function.node, nodes.Name)
        and function.node.name in ("ti", "task_instance")
        and call.dyn_args is None
        and call.dyn_kwargs is None
        and len(call.args) <= 1
        and all(isinstance(argument, nodes.Const) for argument in call.args)
    ):
        return False
    arguments = {keyword.key: keyword.value for keyword in call.kwargs}
    if call.args:
        arguments["task_ids"] = call.args[0]
    index = arguments.get("map_indexes")
    is_index = isinstance(index, nodes.Const | nodes.Neg) and isinstance(index.as_const(), int)
    task = arguments.get("task_ids")
    is_one_task = isinstance(task, nodes.Const) and isinstance(task.value, str)
    key = arguments.get("key", nodes.Const("return_value"))
    known = arguments.keys() <= {"task_ids", "key", "map_indexes"}
    return is_index and is_one_task and known and isinstance(key, nodes.Const) and isinstance(key.value, str)


def start_trigger_arguments(sensor: BaseImportSensor, wait: dict[str, Any]) -> dict[str, Any]:
    """
    Return the arguments of the trigger with which a sensor starts.

    :param sensor: The sensor.
    :param wait: The arguments of the wait that are the same for each run.
    """
    templates, xcoms, constants = {}, {}, {}
    for name in [*(field.name for field in fields(sensor.import_class)), sensor.hook_class.conn_name_attr]:
        value = getattr(sensor, name)
        if source := source_of(value):
            xcoms[name] = list(source)
        elif isinstance(value, str) and name in sensor.template_fields:
            templates[name] = value
        else:
            constants[name] = value.isoformat() if isinstance(value, datetime) else value
    conn_id_name = sensor.hook_class.conn_name_attr
    return {
        "wait": wait,
        "timeout": float(sensor.timeout),
        "import_fields": {name: value for name, value in constants.items() if name != conn_id_name},
        "import_templates": [name for name in (*templates, *xcoms) if name != conn_id_name],
        "conn_id_template": conn_id_name,
        "xcoms": xcoms,
        **templates,
    }
