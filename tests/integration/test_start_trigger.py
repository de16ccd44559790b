# SPDX-License-Identifier: Apache-2.0
"""The trigger that begins a wait: what it makes of its arguments, and what it leaves to a worker."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, TaskDeferred
from jinja2.nativetypes import NativeEnvironment

from airflow_import_progress.compat import waits_without_workers
from airflow_import_progress.exceptions import ImportRequestError
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor
from airflow_import_progress.triggers import import_progress as trigger_module
from airflow_import_progress.triggers import start as start_module
from airflow_import_progress.triggers.import_progress import LAST_POLL_GRACE
from tests.support.sensors import TaskInstance, a_dag, a_task_instance, fired, inflated

pytestmark = pytest.mark.skipif(not waits_without_workers(), reason="waits without workers from Airflow 3.3 on")


def make(summary_id, **arguments):
    return LuccaLeaveImportSensor(
        task_id="wait", summary_id=summary_id, start_from_trigger=True, end_from_trigger=True, **arguments
    )


def start(sensor, clock):
    """Return the trigger that the triggerer makes of what the scheduler stored."""
    arguments = sensor.start_trigger_args
    trigger = inflated(arguments.trigger_cls, arguments.trigger_kwargs)
    trigger.timeout_after = datetime.fromtimestamp(clock.now, UTC) + arguments.timeout
    trigger.task_instance = a_task_instance()
    return trigger


@pytest.fixture
def pushed(monkeypatch):
    results = []

    async def push_result(ti, result):
        results.append(((ti.dag_id, ti.run_id, ti.task_id, ti.map_index), result))

    monkeypatch.setattr(trigger_module, "push_result", push_result)
    return results


def test_stores_what_it_was_made_of(clock):
    with a_dag():
        trigger = start(make("3c90"), clock)
    path, kwargs = trigger.serialize()
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert inflated(path, kwargs).serialize() == (path, kwargs)


def test_the_result_is_pushed_for_its_own_task(clock, leave_import, pushed):
    summary_id = leave_import(40, 100)
    with a_dag():
        fired(start(make(summary_id), clock))
    ((of, progress),) = pushed
    assert of == ("d", "r", "wait", -1)
    assert (progress["import_id"], progress["state"]) == (summary_id, "succeeded")


def test_nothing_is_pushed_where_the_task_pushes_nothing(clock, leave_import, pushed):
    with a_dag():
        fired(start(make(leave_import(100), do_xcom_push=False), clock))
    assert pushed == []


def test_a_result_that_cannot_be_pushed_is_taken_by_a_worker(clock, leave_import, monkeypatch):
    async def failing(ti, result):
        raise OSError("no API server")

    monkeypatch.setattr(trigger_module, "push_result", failing)
    with a_dag():
        sensor = make(leave_import(100))
    event = fired(start(sensor, clock))
    assert event["status"] == "success"
    assert sensor.resume_execution("execute_complete", {"event": event}, {})["state"] == "succeeded"


def test_without_a_task_instance_to_store_it_for_the_result_is_taken_by_who_runs_the_trigger(
    clock, leave_import, pushed, logged
):
    with a_dag():
        trigger = start(make(leave_import(100)), clock)
    waiting = asyncio.run(trigger._begun())
    waiting.task_instance = None
    assert fired(waiting)["status"] == "success"
    assert pushed == []
    assert "could not be stored" not in logged()


def test_anothers_result_is_pulled(clock, leave_import, monkeypatch, pushed):
    summary_id, asked = leave_import(100), []

    async def pull_result(ti, task_id, key):
        asked.append((task_id, key))
        return summary_id

    monkeypatch.setattr(start_module, "pull_result", pull_result)
    with a_dag():
        sensor = make(BaseOperator(task_id="upload").output["summary_id"])
    fired(start(sensor, clock))
    assert asked == [("upload", "summary_id")]
    assert pushed[0][1]["import_id"] == summary_id


@pytest.mark.parametrize(("try_number", "forgotten"), [(1, []), (2, ["wait"])])
def test_the_result_of_an_earlier_try_is_forgotten_before_anything_else(
    clock, leave_import, monkeypatch, try_number, forgotten
):
    found = []

    async def forget_result(ti):
        found.append(ti.task_id)

    monkeypatch.setattr(start_module, "forget_result", forget_result)
    with a_dag():
        trigger = start(make(leave_import(-1)), clock)
    trigger.task_instance.try_number = try_number
    assert fired(trigger)["error"] == "ImportFailedError"
    assert found == forgotten


@pytest.mark.parametrize("result", [None, "", "None", {"summaryId": "3c90"}, "{{ odd }}"])
def test_a_result_that_is_no_identifier_is_left_to_a_worker(clock, sandbox, monkeypatch, result):
    async def pull_result(ti, task_id, key):
        return result

    monkeypatch.setattr(start_module, "pull_result", pull_result)
    with a_dag():
        sensor = make(BaseOperator(task_id="upload").output)
    event = fired(start(sensor, clock))
    assert event["status"] == "not_started"
    assert "summary_id" in event["reason"]


@pytest.mark.parametrize("text", ["2024_001", "0x1F", "000", "{{ odd }}"])
def test_a_result_is_taken_as_the_text_that_it_is(clock, sandbox, monkeypatch, text):
    made = []

    class Made(trigger_module.ImportProgressTrigger):
        def __init__(self, **arguments):
            made.append(arguments["import_fields"])
            super().__init__(**arguments)

    async def pull_result(ti, task_id, key):
        return text

    monkeypatch.setattr(start_module, "pull_result", pull_result)
    monkeypatch.setattr(start_module, "ImportProgressTrigger", Made)
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=True):
        sensor = make(BaseOperator(task_id="upload").output)
    fired(start(sensor, clock))
    assert made == ([] if "{{" in text else [{"summary_id": text}])


def test_the_dag_that_airflow_makes_for_it_is_released_and_the_rest_is_left_as_it_is(clock, leave_import, pushed):
    with a_dag():
        trigger = start(make(leave_import(100)), clock)
    trigger.task_instance.task = object()
    context = {"run_id": "r", "dag": object(), "task": object(), "ti": trigger.task_instance}
    trigger.render_template_fields(context)
    assert context == {"run_id": "r", "ti": trigger.task_instance}
    assert trigger.task is None
    fired(trigger)
    assert pushed[0][1]["state"] == "succeeded"


def test_nothing_is_rendered_although_a_vendor_has_a_field_of_the_same_name(clock, leave_import):
    with a_dag():
        trigger = start(make(leave_import(100), lucca_conn_id="2024_001"), clock)
    trigger.template_fields = ("conn_id", "timeout")
    trigger.render_template_fields({}, NativeEnvironment())
    assert (trigger.conn_id, trigger.timeout) == ("2024_001", 604800.0)


def test_with_an_xcom_backend_of_ones_own_a_worker_takes_the_result(clock, leave_import, monkeypatch, pushed):
    with a_dag():
        trigger = start(make(leave_import(100)), clock)
    monkeypatch.setattr(trigger_module, "has_own_xcom_backend", lambda: True)
    assert fired(trigger)["status"] == "success"
    assert pushed == []


def test_a_worker_begins_what_was_left_to_it(clock, leave_import):
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(40, 100))
    event = {"status": "not_started", "reason": "ValueError: no"}
    with pytest.raises(TaskDeferred):
        sensor.resume_execution("execute_complete", {"event": event}, {"ti": TaskInstance(clock)})


def test_an_airflow_connection_that_there_never_was_fails_the_wait_at_once(clock, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_LUCCA_DEFAULT", raising=False)
    with a_dag():
        sensor = make("3c90")
    event = fired(start(sensor, clock))
    assert event["error"] == "ImportRequestError"
    with pytest.raises(ImportRequestError, match="Airflow does not find this connection"):
        sensor.resume_execution("execute_complete", {"event": event}, {})


def test_the_deadline_is_fixed_when_the_scheduler_defers(clock, leave_import, monkeypatch):
    made = []

    class Made(trigger_module.ImportProgressTrigger):
        def __init__(self, **arguments):
            made.append(arguments)
            super().__init__(**arguments)

        async def run(self):
            yield

    monkeypatch.setattr(start_module, "ImportProgressTrigger", Made)
    with a_dag():
        trigger = start(make(leave_import(40), timeout=600), clock)

    async def run():
        return [event async for event in trigger.run()]

    began = clock.now
    for _ in range(2):
        asyncio.run(run())
        clock.now += 300
    states = [arguments["state"] for arguments in made]
    assert [(state["started_at"], state["deadline"]) for state in states] == [(began, began + 600)] * 2
    assert trigger.timeout_after.timestamp() == began + 600 + 2 * LAST_POLL_GRACE
