# SPDX-License-Identifier: Apache-2.0
"""Tasks and DAGs that run in the process of a test. Without the names borrowed here, Airflow does as it always does."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_import_progress.compat import BaseOperator, Context


@contextmanager
def executing(task: BaseOperator, context: Context) -> Iterator[Callable[[], Any]]:
    """
    Provide the function that executes a task. In the context, Airflow does not warn that it does not run the task.

    :param task: The task.
    :param context: The context of the execution.
    """
    execute = partial(task.execute, context)
    tracker = getattr(_of_airflow("airflow.sdk.bases.operator", "ExecutorSafeguard"), "tracker", None)
    if tracker is None:
        yield partial(execute, **_sentinel_of_airflow_2(task))
        return
    token = tracker.set(task)
    try:
        yield execute
    finally:
        tracker.reset(token)


def _sentinel_of_airflow_2(task: BaseOperator) -> dict[str, Any]:
    safeguard = _of_airflow("airflow.models.baseoperator", "ExecutorSafeguard")
    sentinel = _of_airflow("airflow.models.base", "_sentinel")
    return {} if safeguard is None or sentinel is None else {f"{type(task).__name__}__sentinel": sentinel}


@contextmanager
def keeping_apis_of_dag_test() -> Iterator[None]:
    """
    Keep each API that ``dag.test()`` makes in its process until ``dag.test()`` ends, inside the context.

    Airflow 3.0 to 3.2 makes one for each task and keeps only its transport. Python then ends the lifespan of the API
    at any time. In Airflow 3.2, later requests then fail, because ``svcs_registry`` is missing. Airflow 2 needs none of
    this, because it runs the tasks without an API.
    """
    dag_class = _of_airflow("airflow.sdk", "DAG")
    original = getattr(dag_class, "test", None)
    if dag_class is None or original is None:
        yield
        return

    @wraps(original)
    def test(*args: Any, **kwargs: Any) -> Any:
        with _keeping_apis():
            return original(*args, **kwargs)

    dag_class.test = test
    try:
        yield
    finally:
        dag_class.test = original


@contextmanager
def _keeping_apis() -> Iterator[None]:
    # Looked up here, because the import takes a moment, and dag.test() imports it anyway.
    new_api = _of_airflow("airflow.sdk.execution_time.supervisor", "in_process_api_server")
    # Airflow 3.3 makes only one, and caches it.
    if new_api is None or hasattr(new_api, "cache_info"):
        yield
        return
    kept = []

    def new_kept_api() -> Any:
        kept.append(new_api())
        return kept[-1]

    supervisor: Any = importlib.import_module("airflow.sdk.execution_time.supervisor")
    supervisor.in_process_api_server = new_kept_api
    try:
        yield
    finally:
        supervisor.in_process_api_server = new_api


def _of_airflow(module: str, name: str) -> Any:
    """Return a name of Airflow, or None if this version does not have it."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return None
