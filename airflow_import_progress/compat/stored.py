# SPDX-License-Identifier: Apache-2.0
"""What Airflow stores for a task, by its version: XComs, the task state store and Variables."""

from __future__ import annotations

import asyncio
import importlib
import json
from typing import TYPE_CHECKING, Any

from airflow_import_progress import compat

if TYPE_CHECKING:
    from airflow.sdk import Context


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


def has_own_xcom_backend() -> bool:
    """Return whether XComs are stored by another backend than Airflow's, which may block an event loop."""
    try:
        return _xcom() is not importlib.import_module("airflow.sdk.bases.xcom").BaseXCom
    except (ImportError, AttributeError):
        # Unknown, if Airflow has moved its own: it may be another one.
        return True


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


def asset_state_stores(accessors: Any) -> list[Any]:
    """
    Return the state store of each asset that a trigger watches for: none before Airflow 3.3.

    :param accessors: The attribute ``asset_state_store`` of the trigger.
    """
    # Its public methods refuse a trigger that two assets share.
    return [] if accessors is None else [*accessors._by_name.values(), *accessors._by_uri.values()]


async def aget_variable(name: str) -> Any:
    """
    Return the JSON value of an Airflow Variable in the triggerer, or None if there is none.

    :param name: The name of the Variable.
    :raises RuntimeError: if it could not be read.
    """
    answer = await _answered(_comms().GetVariable(key=name))
    if (error := getattr(answer, "error", None)) is not None:
        if error.name == "VARIABLE_NOT_FOUND":
            return None
        raise RuntimeError(f"Airflow could not read the Variable {name!r} ({error.name}).")
    return json.loads(answer.value)


async def aset_variable(name: str, value: Any, description: str) -> None:
    """
    Store a JSON value in an Airflow Variable in the triggerer.

    :param name: The name of the Variable.
    :param value: The value.
    :param description: The description that users see.
    """
    await _answered(_comms().PutVariable(key=name, value=json.dumps(value), description=description))


async def _answered(message: Any) -> Any:
    # Not cancelled, because Airflow 3.1 would give its answer to the next message.
    return await asyncio.shield(asyncio.ensure_future(_supervisor().asend(message)))


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
        return compat.Variable.get(name, None, deserialize_json=True)
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
    compat.Variable.set(name, value, description, serialize_json=True)


def delete_variable(name: str) -> None:
    """
    Remove an Airflow Variable, if there is one.

    :param name: The name of the Variable.
    """
    if get_variable(name) is not None:
        compat.Variable.delete(name)
