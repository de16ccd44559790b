# SPDX-License-Identifier: Apache-2.0
"""What differs between the supported versions of Airflow. No other module asks which one is installed."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseHook as BaseHook
    from airflow.sdk import BaseOperator as BaseOperator
    from airflow.sdk import BaseOperatorLink as BaseOperatorLink
    from airflow.sdk import BaseSensorOperator as BaseSensorOperator
    from airflow.sdk import Connection as Connection
    from airflow.sdk import Context as Context
    from airflow.sdk import PokeReturnValue as PokeReturnValue
    from airflow.sdk import XComArg as XComArg
    from airflow.sdk.exceptions import AirflowFailException as AirflowFailException
    from airflow.sdk.exceptions import AirflowNotFoundException as AirflowNotFoundException
    from airflow.sdk.exceptions import AirflowSensorTimeout as AirflowSensorTimeout
    from airflow.sdk.exceptions import AirflowSkipException as AirflowSkipException
    from airflow.sdk.exceptions import AirflowTaskTimeout as AirflowTaskTimeout

    AirflowRescheduleException: type[Exception]
    TaskDeferralError: type[Exception]
    TaskDeferralTimeout: type[Exception]
    import_string: Callable[[str], Any]

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
#: The modules in which Airflow has had its public names, the newest first: it warns of the older ones.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowRescheduleException": _EXCEPTIONS,
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "AirflowTaskTimeout": _EXCEPTIONS,
    "TaskDeferralError": _EXCEPTIONS,
    "TaskDeferralTimeout": _EXCEPTIONS,
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "Connection": ("airflow.sdk", "airflow.models"),
    "PokeReturnValue": ("airflow.sdk", "airflow.sensors.base"),
    "import_string": ("airflow.sdk.module_loading", "airflow.utils.module_loading"),
}


@cache
def _of_airflow(name: str) -> Any:
    for place in _PLACES.get(name, ()):
        try:
            return getattr(importlib.import_module(place), name)
        except (ImportError, AttributeError):
            continue
    if name == "TaskDeferralTimeout":
        # Airflow 2 raises TaskDeferralError for a timeout, too.
        return _of_airflow("TaskDeferralError")
    raise AttributeError(f"{__name__} has no {name!r}, or Airflow has moved it to where it is not looked for")


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Imported where it is first used: a process that needs an exception alone does not load the operators.
        return _of_airflow(name)


async def look_up_connection(hook: BaseHook, conn_id: str) -> tuple[Any, Any]:
    """
    Return a connection and its extras, without blocking the event loop.

    :param hook: The hook that looks it up.
    :param conn_id: The connection.
    """
    base = _of_airflow("BaseHook")
    is_overridden = getattr(hook.get_connection, "__func__", None) is not base.get_connection.__func__
    if hasattr(_of_airflow("Connection"), "aextra_dejson") and not is_overridden:
        connection: Any = await hook.aget_connection(conn_id)
        return connection, await connection.aextra_dejson()
    # Before Airflow 3.3.2 both mask secrets by a call that must not be made on the event loop: it waits for an answer
    # that only the loop can read. From a thread of asgiref, and from no other, it finds the loop.
    from asgiref.sync import sync_to_async

    def look_up() -> tuple[Any, Any]:
        connection: Any = hook.get_connection(conn_id)
        return connection, connection.extra_dejson

    found: tuple[Any, Any] = await sync_to_async(look_up)()
    return found


def look_up_connections_as_on_the_command_line() -> None:
    """Have connections looked up in Airflow's database too, which its task SDK does in a server's process only."""
    # As Airflow's own "airflow connections" does. Airflow 2.11 and 3.0 look there anyway.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"


def first_poke_at(sensor: BaseSensorOperator, context: Context) -> datetime | None:
    """
    Return when a sensor in reschedule mode poked for the first time, or None if this is the first time.

    :param sensor: The sensor.
    :param context: The context of its execution.
    """
    ti: Any = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        first: datetime | None = ti.get_first_reschedule_date(context)
        return first
    return _first_poke_at_on_airflow_2(sensor, ti)


def _first_poke_at_on_airflow_2(sensor: BaseSensorOperator, ti: Any) -> datetime | None:
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found,unused-ignore]

    # As Airflow 2's own sensors do: retries share one timeout in reschedule mode.
    first: datetime | None = _orig_start_date(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
        try_number=(ti.max_tries or 0) - (sensor.retries or 0) + 1,
    )
    return first


def is_deferral_timeout(error: Exception) -> bool:
    """
    Tell whether a deferral ended because the scheduler's own time for it was over.

    :param error: What Airflow raised when the sensor was resumed.
    """
    if _of_airflow("TaskDeferralTimeout") is _of_airflow("TaskDeferralError"):
        return "timeout" in str(error).lower()
    return isinstance(error, _of_airflow("TaskDeferralTimeout"))


def store_link(context: Context, key: str, find: Callable[[], str | None]) -> None:
    """
    Store on a worker of Airflow 2 where a task's button leads to; later versions do so themselves.

    :param context: The context of the execution.
    :param key: The key of the XCom.
    :param find: What returns the address, or None if there is none.
    """
    if not _stores_links_itself() and (url := find()):
        context["ti"].xcom_push(key=key, value=url)


def stored_link(ti_key: Any, key: str) -> str | None:
    """
    Return in the webserver of Airflow 2 where a task's button leads to, or None if that is not known.

    :param ti_key: The task instance.
    :param key: The key of the XCom.
    """
    if _stores_links_itself():
        return None
    stored: Any = importlib.import_module("airflow.models.xcom").XCom.get_value(ti_key=ti_key, key=key)
    return stored if isinstance(stored, str) else None


def _stores_links_itself() -> bool:
    return hasattr(_of_airflow("BaseOperatorLink"), "xcom_key")


def has_listeners() -> bool:
    """Tell whether a plugin listens to what becomes of tasks, on an Airflow that waits without workers."""
    try:
        manager: Any = importlib.import_module("airflow.sdk.listener").get_listener_manager()
        return bool(manager.has_listeners)
    except (ImportError, AttributeError):
        # Where Airflow has moved them, there may be some.
        return True


def waits_without_workers() -> bool:
    """Tell whether a wait can start and end in the triggerer, without any worker: from Airflow 3.3 on."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "render_template_fields")


async def push_result(ti: Any, result: Any) -> None:
    """
    Store a task's result from the triggerer, as a worker does with what the task returns.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    :param result: The result.
    """
    await _xcom().aset(value=result, **_xcom_of(ti, _xcom().XCOM_RETURN_KEY))


async def forget_result(ti: Any) -> None:
    """
    Remove in the triggerer the result that an earlier try of a task has left, as a worker does before it begins.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    """
    result = _xcom_of(ti, _xcom().XCOM_RETURN_KEY)
    if await pull_result(ti, ti.task_id, result["key"]) is not None:
        # There is no other way to delete, and on the event loop this one may refuse.
        await asyncio.to_thread(_xcom().delete, **result)


async def pull_result(ti: Any, task_id: str, key: str) -> Any:
    """
    Return in the triggerer what another task of the same run has pushed, or None if it has not.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    :param task_id: The other task, which is not mapped.
    :param key: The key.
    """
    # Without a map index Airflow 3.3 asks its supervisor for something that that one does not understand.
    return await _xcom().aget_one(key=key, dag_id=ti.dag_id, task_id=task_id, run_id=ti.run_id, map_index=-1)


def _xcom() -> Any:
    return importlib.import_module("airflow.sdk.execution_time.xcom").XCom


def publishes_progress() -> bool:
    """Tell whether Airflow has pages that show what a task publishes while it waits: from Airflow 3.1 on."""
    try:
        return hasattr(_comms().CommsDecoder, "asend")
    except (ImportError, AttributeError):
        return False


def push_xcom(ti: Any, key: str, value: Any) -> None:
    """
    Store an XCom of a task instance on its worker, past any XCom backend, as Airflow does with its own links.

    :param ti: The task instance.
    :param key: The key.
    :param value: The value, which is plain JSON.
    """
    _supervisor().send(_comms().SetXCom(value=value, **_xcom_of(ti, key)))


async def apush_xcom(ti: Any, key: str, value: Any) -> None:
    """
    Store an XCom of a task instance in the triggerer, past any XCom backend.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    :param key: The key.
    :param value: The value, which is plain JSON.
    """
    await _supervisor().asend(_comms().SetXCom(value=value, **_xcom_of(ti, key)))


async def apull_xcom(ti: Any, key: str) -> Any:
    """
    Return in the triggerer what :func:`push_xcom` or :func:`apush_xcom` stored, or None if there is nothing.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    :param key: The key.
    """
    answer = await _supervisor().asend(_comms().GetXCom(**_xcom_of(ti, key)))
    return getattr(answer, "value", None)


def _comms() -> Any:
    return importlib.import_module("airflow.sdk.execution_time.comms")


def _supervisor() -> Any:
    return importlib.import_module("airflow.sdk.execution_time.task_runner").SUPERVISOR_COMMS


def _xcom_of(ti: Any, key: str) -> dict[str, Any]:
    """Return by what Airflow knows an XCom of a task instance."""
    return {
        "key": key,
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "run_id": ti.run_id,
        "map_index": ti.map_index,
    }


def source_of(value: Any) -> tuple[str, str] | None:
    """
    Return the task and the key that an argument is the result of, or None if it is not the result of just one task.

    :param value: An argument of an operator, on an Airflow that waits without workers.
    """
    try:
        plain: Any = importlib.import_module("airflow.sdk.definitions.xcom_arg").PlainXComArg
    except (ImportError, AttributeError):
        return None
    if type(value) is not plain or value.operator.is_mapped:
        return None
    if value.operator.get_closest_mapped_task_group() is not None:
        return None
    return value.operator.task_id, value.key


def has_own_xcom_backend() -> bool:
    """Whether XComs are stored by a backend other than Airflow's own, which may block an event loop."""
    try:
        return _xcom() is not importlib.import_module("airflow.sdk.bases.xcom").BaseXCom
    except (ImportError, AttributeError):
        # Where Airflow has moved its own, any may be another one.
        return True


def has_pre_execute(operator: BaseOperator) -> bool:
    """
    Whether an operator was given a function that a worker calls before it executes.

    :param operator: The operator.
    """
    return getattr(operator, "_pre_execute_hook", operator) is not None


def has_post_execute(operator: BaseOperator) -> bool:
    """
    Whether an operator was given a function that a worker calls after it has executed.

    :param operator: The operator.
    """
    return getattr(operator, "_post_execute_hook", operator) is not None
