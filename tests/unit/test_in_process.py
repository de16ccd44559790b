# SPDX-License-Identifier: Apache-2.0
"""Tasks and DAGs in the process of a test: what Airflow logs about them, and the API of dag.test()."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_import_progress.compat import DAG
from airflow_import_progress.compat.in_process import executing, keeping_apis_of_dag_test
from tests.support.sensors import a_dag

WARNING = "cannot be called outside"


@pytest.fixture
def logged(monkeypatch, caplog, capsys):
    """Return a function that returns all that was logged: Airflow 2 logs to logging, Airflow 3 to the output."""
    # Of the tests of Airflow itself, which these tests have switched on.
    monkeypatch.setattr(inspect.getmodule(BaseOperator).ExecutorSafeguard, "test_mode", False)
    return lambda: caplog.text + capsys.readouterr().out


class Inner(BaseOperator):
    def execute(self, context):
        return "done"


class Outer(BaseOperator):
    def execute(self, context):
        return Inner(task_id="inner").execute(context)


def execute(operator_class):
    with a_dag():
        task = operator_class(task_id="outer")
    with executing(task, {}) as call:
        return call(), call()


def test_airflow_does_not_warn_of_a_task_that_the_fixture_executes(logged):
    assert execute(Inner) == ("done", "done")
    assert WARNING not in logged()


def test_airflow_still_warns_of_an_operator_within_an_operator(logged):
    assert execute(Outer) == ("done", "done")
    printed = logged()
    assert f"Inner.execute {WARNING}" in printed
    assert f"Outer.execute {WARNING}" not in printed


@pytest.mark.parametrize("name", ["airflow.sdk.bases.operator", "airflow.models.baseoperator", "airflow.models.base"])
def test_a_task_is_executed_without_the_names_that_airflow_may_move(monkeypatch, name):
    monkeypatch.setattr(importlib, "import_module", without(name))
    assert execute(Inner) == ("done", "done")


def without(missing):
    """Return a function that imports modules, but not this one."""
    import_module = importlib.import_module

    def import_others(name, *arguments):
        if name == missing:
            raise ImportError(name)
        return import_module(name, *arguments)

    return import_others


@pytest.fixture
def run_dag(monkeypatch):
    """Return a function that calls dag.test(), in which another function runs."""

    def run_dag(function):
        monkeypatch.setattr(DAG, "test", lambda dag: function())
        with keeping_apis_of_dag_test():
            return a_dag().test()

    return run_dag


def is_api_running():
    """Make an API as Airflow does for a task, and return whether it can answer a request some time later."""
    supervisor = importlib.import_module("airflow.sdk.execution_time.supervisor").InProcessTestSupervisor
    # As Airflow does, this keeps the client only.
    middleware = supervisor._api_client()._transport.app
    gc.collect()

    async def settle():
        for _ in range(100):
            await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(settle(), middleware.loop).result(60)
    return hasattr(middleware.app.state, "svcs_registry")


def test_an_api_of_dag_test_runs_until_its_end(monkeypatch, run_dag):
    pytest.importorskip("airflow.sdk", reason="Airflow 2 has no such API")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "of a test" * 8)
    assert run_dag(is_api_running)


@pytest.mark.parametrize("name", ["airflow.sdk", "airflow.sdk.execution_time.supervisor"])
def test_a_dag_is_tested_without_the_names_that_airflow_may_move(monkeypatch, run_dag, name):
    monkeypatch.setattr(importlib, "import_module", without(name))
    assert run_dag(lambda: "done") == "done"


def test_dag_test_is_that_of_airflow_after_the_context():
    before = DAG.test
    with keeping_apis_of_dag_test():
        pass
    assert DAG.test is before
