# SPDX-License-Identifier: Apache-2.0
"""The differences between the supported versions of Airflow. No other module checks which one is installed."""

from __future__ import annotations

import importlib
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
    from airflow.triggers.base import BaseEventTrigger as BaseEventTrigger

    AirflowRescheduleException: type[Exception]
    TaskDeferralError: type[Exception]
    TaskDeferralTimeout: type[Exception]
    Variable: Any
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
    "BaseEventTrigger": ("airflow.triggers.base",),
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
    if name == "BaseEventTrigger":
        # Watchers do not exist in Airflow 2. See has_asset_watchers().
        return importlib.import_module("airflow.triggers.base").BaseTrigger
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


def has_asset_watchers() -> bool:
    """Return whether triggers can watch for assets: since Airflow 3.0."""
    return hasattr(importlib.import_module("airflow.triggers.base"), "BaseEventTrigger")


def waits_without_workers() -> bool:
    """Return whether a wait can start and end in the triggerer, without any worker: since Airflow 3.3."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "render_template_fields")


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
