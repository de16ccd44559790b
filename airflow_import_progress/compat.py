# SPDX-License-Identifier: Apache-2.0
"""The differences between the supported versions of Airflow. No other module checks which one is installed."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG as DAG
    from airflow.sdk import BaseHook as BaseHook
    from airflow.sdk import BaseOperator as BaseOperator
    from airflow.sdk import BaseOperatorLink as BaseOperatorLink
    from airflow.sdk import BaseSensorOperator as BaseSensorOperator
    from airflow.sdk import Connection as Connection
    from airflow.sdk import Context as Context
    from airflow.sdk import ObjectStoragePath as ObjectStoragePath
    from airflow.sdk import PokeReturnValue as PokeReturnValue
    from airflow.sdk import XComArg as XComArg
    from airflow.sdk.exceptions import AirflowFailException as AirflowFailException
    from airflow.sdk.exceptions import AirflowNotFoundException as AirflowNotFoundException
    from airflow.sdk.exceptions import AirflowSensorTimeout as AirflowSensorTimeout
    from airflow.sdk.exceptions import AirflowSkipException as AirflowSkipException
    from airflow.sdk.exceptions import AirflowTaskTimeout as AirflowTaskTimeout
    from airflow.sdk.exceptions import TaskDeferred as TaskDeferred

    AirflowRescheduleException: type[Exception]
    TaskDeferralError: type[Exception]
    TaskDeferralTimeout: type[Exception]
    import_string: Callable[[str], Any]

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
#: The modules that contain Airflow's public names, the newest first, because Airflow warns about the older ones.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowRescheduleException": _EXCEPTIONS,
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "AirflowTaskTimeout": _EXCEPTIONS,
    "TaskDeferralError": _EXCEPTIONS,
    "TaskDeferralTimeout": _EXCEPTIONS,
    "TaskDeferred": _EXCEPTIONS,
    "DAG": ("airflow.sdk", "airflow"),
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sensors.base"),
    "Connection": ("airflow.sdk", "airflow.models"),
    "ObjectStoragePath": ("airflow.sdk", "airflow.io.path"),
    "PokeReturnValue": ("airflow.sdk", "airflow.sensors.base"),
    "Variable": ("airflow.sdk", "airflow.models"),
    "XComArg": ("airflow.sdk", "airflow.models.xcom_arg"),
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
    raise AttributeError(f"{__name__} has no {name!r}, or Airflow has moved it to an unknown module")


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Imported on first use, so that a process that needs only an exception does not load the operators.
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
    # In a thread of asgiref: before Airflow 3.3.2 both calls mask secrets by another call, which would wait on the
    # event loop for an answer that only the loop can read. It finds the loop only from a thread of asgiref.
    from asgiref.sync import sync_to_async

    def look_up() -> tuple[Any, Any]:
        connection: Any = hook.get_connection(conn_id)
        return connection, connection.extra_dejson

    found: tuple[Any, Any] = await sync_to_async(look_up)()
    return found


def look_up_connections_as_on_the_command_line() -> None:
    """Look connections up in Airflow's database too, as its task SDK does only in the processes of servers."""
    # As the command "airflow connections" does. Airflow 2.11 and 3.0 always look them up there.
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

    # As the sensors of Airflow 2: all retries share one timeout in reschedule mode.
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
    Return whether a deferral ended by the scheduler's timeout.

    :param error: The error that Airflow raised when the sensor was resumed.
    """
    if _of_airflow("TaskDeferralTimeout") is _of_airflow("TaskDeferralError"):
        return "timeout" in str(error).lower()
    return isinstance(error, _of_airflow("TaskDeferralTimeout"))


def store_link(context: Context, key: str, find: Callable[[], str | None]) -> None:
    """
    Store the link of a task's button on a worker of Airflow 2. Later versions store it themselves.

    :param context: The context of the execution.
    :param key: The key of the XCom.
    :param find: Returns the address, or None if there is none.
    """
    if not _stores_links_itself() and (url := find()):
        context["ti"].xcom_push(key=key, value=url)


def stored_link(ti_key: Any, key: str) -> str | None:
    """
    Return the link of a task's button in the webserver of Airflow 2, or None if there is none.

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
    """Return whether a plugin has a listener, on an Airflow that waits without workers."""
    try:
        manager: Any = importlib.import_module("airflow.sdk.listener").get_listener_manager()
        return bool(manager.has_listeners)
    except (ImportError, AttributeError):
        # Unknown, if Airflow has moved them: there may be one.
        return True


def waits_without_workers() -> bool:
    """Return whether a wait can start and end in the triggerer, without any worker: since Airflow 3.3."""
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
    Remove the result of an earlier try of a task in the triggerer, as a worker does before it begins.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    """
    result = _xcom_of(ti, _xcom().XCOM_RETURN_KEY)
    if await pull_result(ti, ti.task_id, result["key"]) is not None:
        # In a thread: an XCom can only be deleted synchronously, and that may be refused on the event loop.
        await asyncio.to_thread(_xcom().delete, **result)


async def pull_result(ti: Any, task_id: str, key: str) -> Any:
    """
    Return the XCom of another task of the same run in the triggerer, or None if there is none.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    :param task_id: The other task, which is not mapped.
    :param key: The key.
    """
    # With a map index, because Airflow 3.3 sends its supervisor an invalid message without one.
    return await _xcom().aget_one(key=key, dag_id=ti.dag_id, task_id=task_id, run_id=ti.run_id, map_index=-1)


def _xcom() -> Any:
    return importlib.import_module("airflow.sdk.execution_time.xcom").XCom


def publishes_progress() -> bool:
    """Return whether Airflow has pages that show the progress of a waiting task: since Airflow 3.1."""
    try:
        return hasattr(_comms().CommsDecoder, "asend")
    except (ImportError, AttributeError):
        return False


def push_xcom(ti: Any, key: str, value: Any) -> None:
    """
    Store an XCom of a task instance on its worker without any XCom backend, as Airflow does with its own links.

    :param ti: The task instance.
    :param key: The key.
    :param value: The value, which is plain JSON.
    """
    _supervisor().send(_comms().SetXCom(value=value, **_xcom_of(ti, key)))


async def apush_xcom(ti: Any, key: str, value: Any) -> None:
    """
    Store an XCom of a task instance in the triggerer without any XCom backend.

    :param ti: The task instance, as the triggerer gives it to its trigger.
    :param key: The key.
    :param value: The value, which is plain JSON.
    """
    await _supervisor().asend(_comms().SetXCom(value=value, **_xcom_of(ti, key)))


async def apull_xcom(ti: Any, key: str) -> Any:
    """
    Return the XCom that :func:`push_xcom` or :func:`apush_xcom` stored in the triggerer, or None if there is none.

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
    """Return the fields that identify an XCom of a task instance."""
    return {
        "key": key,
        "dag_id": ti.dag_id,
        "task_id": ti.task_id,
        "run_id": ti.run_id,
        "map_index": ti.map_index,
    }


def source_of(value: Any) -> tuple[str, str] | None:
    """
    Return the task and the key of the result that an argument is, or None if it is not the result of one task.

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
    """Return whether XComs are stored by another backend than Airflow's, which may block an event loop."""
    try:
        return _xcom() is not importlib.import_module("airflow.sdk.bases.xcom").BaseXCom
    except (ImportError, AttributeError):
        # Unknown, if Airflow has moved its own: it may be another one.
        return True


def has_pre_execute(operator: BaseOperator) -> bool:
    """
    Return whether an operator has a function that a worker calls before it executes.

    :param operator: The operator.
    """
    return getattr(operator, "_pre_execute_hook", operator) is not None


def has_post_execute(operator: BaseOperator) -> bool:
    """
    Return whether an operator has a function that a worker calls after it has executed.

    :param operator: The operator.
    """
    return getattr(operator, "_post_execute_hook", operator) is not None


def task_state_store(context: Context) -> Any:
    """
    Return the store that keeps values of a task instance across its tries, or None before Airflow 3.3.

    :param context: The context of the execution.
    """
    return context.get("task_state_store")


def has_task_state_store() -> bool:
    """Return whether Airflow keeps values of a task instance across its tries: since Airflow 3.3."""
    try:
        return never_expire() is not None
    except (ImportError, AttributeError):
        return False


def never_expire() -> Any:
    """Return the retention of a value in the task state store that Airflow never removes by itself."""
    return importlib.import_module("airflow.sdk").NEVER_EXPIRE


def get_variable(name: str) -> Any:
    """
    Return the JSON value of an Airflow Variable, or None if there is none.

    :param name: The name of the Variable.
    """
    # Not by Variable.get() where possible: it may return the default if the Variable could not be read.
    try:
        supervisor = _supervisor()
    except ImportError:
        return _variable_in_database(name)
    if not hasattr(supervisor, "send"):
        return _of_airflow("Variable").get(name, None, deserialize_json=True)
    answer = supervisor.send(_comms().GetVariable(key=name))
    if (error := getattr(answer, "error", None)) is not None:
        if error.name == "VARIABLE_NOT_FOUND":
            return None
        raise RuntimeError(f"Airflow could not read the Variable {name!r} ({error.name}).")
    return json.loads(answer.value)


def _variable_in_database(name: str) -> Any:
    from airflow.utils.session import create_session

    variable: Any = importlib.import_module("airflow.models").Variable
    with create_session() as session:
        found = session.query(variable).filter(variable.key == name).one_or_none()
        return None if found is None else json.loads(found.get_val())


def set_variable(name: str, value: Any, description: str) -> None:
    """
    Store a JSON value in an Airflow Variable.

    :param name: The name of the Variable.
    :param value: The value.
    :param description: The description that users see.
    """
    _of_airflow("Variable").set(name, value, description, serialize_json=True)


def delete_variable(name: str) -> None:
    """
    Remove an Airflow Variable, if there is one.

    :param name: The name of the Variable.
    """
    if get_variable(name) is not None:
        _of_airflow("Variable").delete(name)


def stats(*, in_triggerer: bool) -> Any:
    """
    Return Airflow's Stats, as configured in ``[metrics]``.

    :param in_triggerer: Whether this is the process of a triggerer.
    :raises ImportError: if Airflow has moved them.
    """
    # Since Airflow 3.2 there are two, and each process configures only its own.
    place = f"airflow.{'' if in_triggerer else 'sdk.'}observability.stats"
    try:
        module = importlib.import_module(place)
    except ImportError:
        module = importlib.import_module("airflow.stats")
    return getattr(module, "Stats", module)


def hostname() -> str:
    """Return the name of this host, as in the tags of Airflow's own metrics."""
    return str(importlib.import_module("airflow.utils.net").get_hostname())


def team_name(ti: Any) -> str | None:
    """
    Return the team of a task instance, or None if Airflow does not report one: before 3.3 and in most triggers.

    :param ti: The task instance, or None.
    """
    return getattr(ti, "stats_tags", {}).get("team_name")
