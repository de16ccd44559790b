# SPDX-License-Identifier: Apache-2.0
"""The trigger by itself: what it stores, that it always inflates, and that it fires once."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_import_progress.compat import AirflowRescheduleException, TaskDeferralError
from airflow_import_progress.exceptions import (
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.links import ImportLink
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.sensors.arguments import NOT_GIVEN
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.triggers.import_progress import ImportProgressTrigger
from airflow_import_progress.waiting.poller import TICK
from tests.support.sandbox_client import API_KEY
from tests.support.sensors import TaskInstance, fired, inflated
from tests.support.triggers import trigger_arguments

PATH = "airflow_import_progress.triggers.import_progress.ImportProgressTrigger"


def arguments(clock, import_id="3c90", **changed):
    values = {
        "import_class": "airflow_import_progress.hooks.lucca.LuccaLeaveImport",
        "import_fields": {"summary_id": import_id},
        "hook_class": "airflow_import_progress.hooks.lucca.LuccaHook",
        "conn_id": "lucca_default",
        "started_at": clock.now,
        "deadline": clock.now + 3600,
        "next_poll_at": clock.now + 30,
        "polled_at": clock.now,
        "poke_interval": 30,
    }
    return trigger_arguments(**values | changed)


def events(trigger):
    async def collect():
        return [event.payload async for event in trigger.run()]

    return asyncio.run(collect())


def deferred_by(sensor):
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({})
    return caught.value


def test_stores_its_class_and_plain_json_arguments(clock):
    trigger = ImportProgressTrigger(
        **arguments(clock, max_wait=60.0, exponential_backoff=True, gate={"max_failed_records": 3}, failures=2)
    )
    path, kwargs = trigger.serialize()
    assert path == PATH
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert ImportProgressTrigger(**kwargs).serialize() == (path, kwargs)


def test_a_deferred_sensor_stores_no_secret(leave_import, clock):
    deferred = deferred_by(LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(57)))
    assert API_KEY not in json.dumps(deferred.trigger.serialize())


def test_the_sensors_arguments_reach_the_trigger(sandbox, clock):
    import_id = sandbox.create_import("lucca", "user_location", {"answers": [{"progress": 57}]})
    deferred = deferred_by(
        LuccaUserLocationImportSensor(
            task_id="wait",
            summary_id=import_id,
            check_results=True,
            max_failed_records=3,
            min_success_rate=95,
            poke_interval=17,
            min_poke_interval=7,
            timeout=900,
            exponential_backoff=True,
            max_wait=70,
            max_consecutive_failures=4,
            silent_fail=True,
            do_xcom_push=False,
        )
    )
    _, kwargs = deferred.trigger.serialize()
    assert clock.now < kwargs["state"].pop("next_poll_at") <= clock.now + 17
    assert kwargs == {
        "import_class": "airflow_import_progress.hooks.lucca.LuccaUserLocationImport",
        "import_fields": {"summary_id": import_id, "check_results": True},
        "hook_class": "airflow_import_progress.hooks.lucca.LuccaHook",
        "conn_id": "lucca_default",
        "rules": {
            "poke_interval": 17,
            "min_poke_interval": 7,
            "exponential_backoff": True,
            "max_wait": 70,
            "max_consecutive_failures": 4,
            "silent_fail": True,
            "gate": {
                "max_failed_records": 3,
                "min_success_rate": 95,
                "min_records": None,
                "on_action_required": "wait",
            },
        },
        "state": {
            "started_at": clock.now,
            "deadline": clock.now + 900,
            "polled_at": clock.now,
            "failures": 0,
            "last_warning": None,
            "last_observation": [57.0, clock.now],
        },
        "end_from_trigger": False,
        "do_xcom_push": False,
    }


def test_a_wait_never_comes_back_so_soon_that_airflow_takes_it_for_dead(leave_import, clock):
    deferred = deferred_by(LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(57), poke_interval=1))
    _, kwargs = deferred.trigger.serialize()
    assert kwargs["state"]["next_poll_at"] == clock.now + 10


def test_a_rescheduled_wait_stays_away_longer_because_it_runs_the_risk_at_every_poll(leave_import, clock):
    sensor = LuccaLeaveImportSensor(
        task_id="wait", summary_id=leave_import(57), poke_interval=1, deferrable=False, mode="reschedule"
    )
    with pytest.raises(AirflowRescheduleException) as rescheduled:
        sensor.execute({"ti": TaskInstance(clock)})
    assert rescheduled.value.reschedule_date.timestamp() == clock.now + 30


def test_airflows_own_timeout_is_a_back_stop_behind_the_deadline(leave_import, clock):
    deferred = deferred_by(LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(57), timeout=900))
    assert 900 < deferred.timeout.total_seconds() < 1000


@pytest.mark.parametrize(
    "changed",
    [
        {"import_class": "no.such.module.Import"},
        {"import_class": "nonsense"},
        {"import_fields": {"colour": "blue"}},
        {"import_fields": {"summary_id": None}},
        {"hook_class": "airflow_import_progress.hooks.lucca.NoSuchHook"},
        {"gate": {"colour": "blue"}},
        {"deadline": None},
        {"poke_interval": "often"},
    ],
)
def test_always_inflates_and_tells_the_task_what_is_wrong(clock, sandbox, changed):
    (event,) = events(ImportProgressTrigger(**arguments(clock, **changed)))
    assert event["status"] == "error"
    assert event["message"]


def test_fires_once_with_the_progress(clock, leave_import):
    import_id = leave_import(10, 57, 100)
    (event,) = events(ImportProgressTrigger(**arguments(clock, import_id)))
    assert event["status"] == "success"
    assert event["progress"]["import_id"] == import_id


def test_polls_first_when_the_worker_said(clock, leave_import):
    events(ImportProgressTrigger(**arguments(clock, leave_import(100))))
    assert clock.slept == [30]


def test_the_waits_of_a_restarted_triggerer_do_not_poll_all_at_once(clock, leave_import):
    for _ in range(20):
        events(ImportProgressTrigger(**arguments(clock, leave_import(100), next_poll_at=clock.now - 1000)))
    assert all(0 <= seconds <= 30 for seconds in clock.slept)
    assert max(clock.slept) - min(clock.slept) > 5


def test_an_overdue_first_poll_is_not_after_the_deadline(clock, leave_import):
    for seconds in (3, -5):
        overdue = arguments(clock, leave_import(100), next_poll_at=clock.now - 1000, deadline=clock.now + seconds)
        events(ImportProgressTrigger(**overdue))
        assert clock.slept[-1] <= max(seconds, 0) + TICK


def test_a_restart_does_not_move_the_deadline(clock, leave_import):
    stored = arguments(clock, leave_import(57))
    clock.now += 3500
    (event,) = events(ImportProgressTrigger(**stored))
    assert event["error"] == "AirflowSensorTimeout"
    assert clock.now == pytest.approx(stored["state"]["deadline"])


def test_a_cancelled_trigger_fires_nothing_and_leaves_no_session(leave_import):
    import time

    async def cancel():
        clock_now = time.time()
        trigger = ImportProgressTrigger(
            **arguments(type("Now", (), {"now": clock_now}), leave_import(57), next_poll_at=clock_now)
        )
        wait = asyncio.create_task(anext(trigger.run()))
        await asyncio.sleep(0.2)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait

    asyncio.run(cancel())


SUCCEEDED = ImportProgress(import_id="3c90", state=ImportState.SUCCEEDED).to_dict()


@pytest.fixture
def sensor():
    return LuccaLeaveImportSensor(task_id="wait", summary_id="3c90")


def test_a_success_event_ends_the_task_with_its_progress(sensor):
    assert sensor.execute_complete({}, {"status": "success", "progress": SUCCEEDED}) == SUCCEEDED


@pytest.mark.parametrize(
    "event",
    [
        None,
        "success",
        True,
        [],
        {},
        {"status": "success"},
        {"status": "success", "progress": None},
        {"status": "success", "progress": {}},
        {"status": "done", "progress": SUCCEEDED},
        {"status": None, "progress": SUCCEEDED},
        {"status": "success", "progress": SUCCEEDED | {"state": "running"}},
        {"status": "success", "progress": SUCCEEDED | {"state": "failed"}},
        {"status": "success", "progress": SUCCEEDED | {"state": "excellent"}},
        {"status": "success", "progress": SUCCEEDED | {"import_id": "somebody else's"}},
        {"status": "success", "progress": SUCCEEDED | {"percent": 10**400}},
    ],
)
def test_any_other_event_is_never_success(sensor, event):
    with pytest.raises(ImportProtocolError, match="cannot be taken for success"):
        sensor.execute_complete({}, event)


@pytest.mark.parametrize("event", [{"status": "error"}, {"status": "error", "error": "KeyError", "message": "'x'"}])
def test_an_unexpected_exception_of_the_trigger_fails_the_task(sensor, event):
    with pytest.raises(ImportProgressError, match="ended in the triggerer"):
        sensor.execute_complete({}, event)


def test_a_wait_that_no_triggerer_ran_times_out(sensor):
    with pytest.raises(AirflowSensorTimeout, match="Check that a triggerer runs"):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_a_wait_that_no_triggerer_ran_is_a_skip_under_soft_fail():
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", soft_fail=True)
    with pytest.raises(AirflowSkipException):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_a_wait_that_the_triggerer_lost_is_no_skip_under_soft_fail():
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="3c90", soft_fail=True)
    with pytest.raises(ImportPollError, match="could not run this wait") as caught:
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, {})
    assert isinstance(caught.value.__cause__, TaskDeferralError)


def test_poking_by_hand_asks_once(sandbox, leave_import):
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(57, 100))
    assert not sensor.poke({}).is_done
    assert sensor.poke({}).is_done


def test_the_button_of_a_sensor_that_defers_costs_no_look_up_of_its_own(leave_import, clock, monkeypatch):
    looked_up, look_up = [], LuccaHook.get_connection

    def get_connection(conn_id):
        looked_up.append(conn_id)
        return look_up(conn_id)

    monkeypatch.setattr(LuccaHook, "get_connection", staticmethod(get_connection))
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(57))
    deferred_by(sensor)
    ImportLink().get_link(sensor, ti_key=None)
    assert looked_up == ["lucca_default"]


class StartingSensor(LuccaLeaveImportSensor):
    """A sensor that starts the import before it waits, as a subclass may."""

    def __init__(self, *, start, **arguments):
        super().__init__(summary_id=NOT_GIVEN, **arguments)
        self.start = start

    def execute(self, context):
        self.summary_id = self.start()
        return super().execute(context)


def test_a_subclass_may_start_the_import_when_it_is_executed(run_sensor, leave_import):
    started = []

    def start():
        started.append(leave_import(40, 100))
        return started[-1]

    if run_sensor.mode == "reschedule":
        pytest.skip("each poll of a rescheduled sensor executes it anew")
    progress = run_sensor(StartingSensor, start=start)
    assert [progress["import_id"]] == started


def test_what_was_waited_for_counts_although_a_template_renders_to_something_else_now(clock, leave_import):
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(40, 100))
    waited_for = sensor.summary_id
    deferred = deferred_by(sensor)
    event = fired(inflated(*deferred.trigger.serialize()))
    kwargs = json.loads(json.dumps({**deferred.kwargs, "event": event}))
    resumed = LuccaLeaveImportSensor(task_id="wait", summary_id="another", lucca_conn_id="elsewhere")
    assert resumed.resume_execution(deferred.method_name, kwargs, {})["import_id"] == waited_for
    assert ImportLink().get_link(resumed, ti_key=None) == ""


def test_an_event_about_another_import_is_not_taken_for_the_one_that_was_deferred(clock, leave_import):
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=leave_import(40, 100))
    deferred = deferred_by(sensor)
    event = {"status": "success", "progress": ImportProgress(import_id="x", state=ImportState.SUCCEEDED).to_dict()}
    with pytest.raises(ImportProtocolError, match="it is about the import 'x'"):
        sensor.resume_execution(deferred.method_name, {**deferred.kwargs, "event": event}, {})


class OddError(ImportRequestError):
    """An error of a vendor's module, whose constructor takes something else."""

    def __init__(self, code):
        super().__init__(f"the code {code}", status=403)
        self.code = code


@pytest.mark.parametrize("raised", [OddError(7), ImportProgressError("nothing is known")])
def test_every_error_of_a_vendors_module_is_reported_once_in_every_mode(run_sensor, leave_import, monkeypatch, raised):
    polls = []
    poll = LuccaLeaveImport.poll

    def failing(self, connection):
        polls.append(self)
        # The trigger makes one conversation only to find the first request.
        if len(polls) > 2:
            raise raised
        return (yield from poll(self, connection))

    monkeypatch.setattr(LuccaLeaveImport, "poll", failing)
    with pytest.raises(ImportProgressError) as caught:
        run_sensor(LuccaLeaveImportSensor, summary_id=leave_import(10, 20, 30, 40))
    assert isinstance(caught.value, type(raised).__mro__[1] if isinstance(raised, OddError) else ImportProgressError)
    assert str(caught.value).count(str(raised)) == 1
    assert str(caught.value).count("Lucca leave import") == 1


@pytest.mark.parametrize("gate", [[], "", 0, False, [1], {"unknown": 1}, {"max_failed_records": -1}])
def test_a_stored_gate_that_cannot_be_made_again_is_never_success(clock, leave_import, gate):
    (event,) = events(ImportProgressTrigger(**arguments(clock, leave_import(100), gate=gate)))
    assert event["status"] == "error"
