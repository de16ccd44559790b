# SPDX-License-Identifier: Apache-2.0
"""The metrics of whole starts and waits: each event is counted once, wherever the wait moves to."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_import_progress.compat import AirflowSensorTimeout, TaskDeferralError
from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportPollError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor
from airflow_import_progress.waiting import poller as poller_module
from tests.support.metrics import listening

HERE = Path(__file__).parent
STATSD = pytest.mark.skipif(
    find_spec("statsd") is None, reason="needs the package statsd, which apache-airflow[statsd] installs"
)
LEAVES_PATH = "/timmi-absences/api/imports/v1.0/leavePeriods"


@pytest.fixture
def leaves(tmp_path):
    file = tmp_path / "leaves.csv"
    file.write_text(
        "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
        "Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
    )
    return file


# The same in every mode -----------------------------------------------------------------------------------


def test_an_import_that_passes_is_counted_once_and_each_poll_once(run_sensor, leave_import, sandbox, stats):
    import_id = leave_import(0, 40, 100)
    run_sensor(LuccaLeaveImportSensor, summary_id=import_id)
    assert stats.counts == {"poll": len(sandbox.requests(import_id)), "passed": 1}


def test_an_import_that_fails_is_counted_once(run_sensor, leave_import, stats):
    with pytest.raises(ImportFailedError):
        run_sensor(LuccaLeaveImportSensor, summary_id=leave_import(10, -1))
    assert stats.counts == {"poll": 2, "failed": 1}


def test_a_wait_that_times_out_is_counted_once(run_sensor, leave_import, stats):
    with pytest.raises(AirflowSensorTimeout):
        run_sensor(LuccaLeaveImportSensor, summary_id=leave_import(10), timeout=120)
    counts = stats.counts
    assert counts.pop("poll") > 1
    assert counts == {"timed_out": 1}


def test_a_wait_that_gives_up_is_counted_once(run_sensor, leave_import, sandbox, stats):
    import_id = leave_import(10)
    sandbox.add_fault({"status": 503}, import_id=import_id, times=None)
    with pytest.raises(ImportPollError):
        run_sensor(LuccaLeaveImportSensor, summary_id=import_id, max_consecutive_failures=3)
    assert stats.counts == {"poll": 3, "poll_failed": 3, "unknown": 1}


def test_a_skip_is_counted_by_what_became_of_the_import(run_sensor, leave_import, stats):
    with pytest.raises(Exception, match="failed at the vendor"):
        run_sensor(LuccaLeaveImportSensor, summary_id=leave_import(-1), soft_fail=True)
    assert stats.counts == {"poll": 1, "failed": 1}


# Where Airflow ends a deferral ----------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "name"), [("timeout", "timed_out"), ("failure", "unknown")])
def test_a_wait_that_no_triggerer_ended_is_counted_when_it_is_resumed(monkeypatch, sandbox, stats, words, name):
    from airflow_import_progress.sensors import base as sensors_base

    monkeypatch.setattr(sensors_base, "is_deferral_timeout", lambda error: words == "timeout")
    monkeypatch.setattr(
        sensors_base.BaseOperator,
        "resume_execution",
        lambda *_: (_ for _ in ()).throw(TaskDeferralError(f"Trigger {words}")),
    )
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id="3c90")
    with pytest.raises((AirflowSensorTimeout, ImportPollError)):
        sensor.resume_execution("__fail__", {}, {})
    assert stats.counts == {name: 1}


# The triggerer --------------------------------------------------------------------------------------------


def test_the_number_of_waits_of_a_triggerer_is_reported(run_sensor, leave_import, stats):
    run_sensor(LuccaLeaveImportSensor, summary_id=leave_import(10, 100))
    in_triggerer = run_sensor.mode in ("deferred", "without_workers")
    assert stats.values("waits") == ([1, 0] if in_triggerer else [])


def test_the_answers_of_a_vendor_that_gets_too_many_requests_are_counted(monkeypatch, clock, leave_import, sandbox, stats):
    import_id = leave_import(10, 20, 100)
    sandbox.add_fault({"status": 429, "headers": {"Retry-After": "7"}}, import_id=import_id, times=2, after=1)
