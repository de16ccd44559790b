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
from airflow_import_progress.operators.zilliz import ZillizImportOperator
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sensors import base as sensors_base
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor
from tests.support.metrics import listening
from tests.support.sandbox_client import API_KEY
from tests.support.sensors import TaskInstance, wait_to_the_end

ROOT = Path(__file__).parent.parent.parent
STATSD = pytest.mark.skipif(
    find_spec("statsd") is None, reason="needs the package statsd, which apache-airflow[statsd] installs"
)
LEAVES = (
    b"legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    b"Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
)


@pytest.fixture(scope="module")
def running_sandbox():
    """A sandbox in which an import that is started takes a few polls."""
    with Sandbox(lucca_api_key=API_KEY, import_duration=0.05) as sandbox:
        yield sandbox


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


def test_the_answers_of_a_vendor_that_gets_too_many_requests_are_counted(clock, leave_import, sandbox, stats):
    import_id = leave_import(10, 100)
    # The first one reaches the worker, the second one all waits of the triggerer.
    sandbox.add_fault({"status": 429, "headers": {"Retry-After": "7"}}, import_id=import_id, times=2)
    sensor = LuccaLeaveImportSensor(task_id="wait", summary_id=import_id)
    wait_to_the_end(sensor, "deferred", clock, TaskInstance(clock))
    assert stats.counts == {"poll": 4, "poll_failed": 2, "rate_limited": 1, "paused_seconds": 7, "passed": 1}


# Starts ---------------------------------------------------------------------------------------------------


@pytest.fixture
def zilliz(sandbox, connect_to):
    connect_to("zilliz", extra={"cluster_id": "in01-sandbox", "api_version": "v2"})
    return sandbox


def only_starts(stats):
    return {name: count for name, count in stats.counts.items() if name.startswith("start")}


def test_a_start_is_counted_once_and_not_again_by_a_retry(operator_task, sandbox, stats):
    task = operator_task(LuccaLeaveImportOperator, file=LEAVES)
    task.run()
    task.run()
    assert only_starts(stats) == {"start": 1}


def test_a_start_that_is_refused_is_counted(operator_task, sandbox, connect, stats):
    connect(password="wrong")
    with pytest.raises(ImportStartRefusedError):
        operator_task(LuccaLeaveImportOperator, file=LEAVES).run()
    assert stats.counts == {"start_refused": 1}


def test_an_unknown_start_is_counted_once_even_if_a_retry_reports_it_again(operator_task, sandbox, stats):
    sandbox.add_fault({"reset": True}, vendor="lucca", path_contains="leavePeriods", processed=True)
    task = operator_task(LuccaLeaveImportOperator, file=LEAVES)
    for _ in range(2):
        with pytest.raises(ImportStartUnknownError):
            task.run()
    assert stats.counts == {"start_unknown": 1}


def test_a_start_whose_answer_was_lost_is_counted_once_it_is_found(operator_task, zilliz, stats):
    zilliz.add_fault({"reset": True}, vendor="zilliz", path_contains="import/create", processed=True)
    operator_task(ZillizImportOperator, collection_name="articles", object_urls="s3://bucket/1.parquet").run()
    assert only_starts(stats) == {"start": 1}


# A real StatsD --------------------------------------------------------------------------------------------


@pytest.fixture
def run_process(sandbox, leave_import):
    """Return a function that waits in a process with StatsD, and returns the listener and the process's output."""

    def run_process(role, **settings):
        with listening() as statsd:
            settings = {"statsd_on": "True", "statsd_host": "127.0.0.1", "statsd_port": str(statsd.port), **settings}
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-m", "tests.support.process_with_metrics", role, leave_import(40, 100)],
                cwd=ROOT,
                env={**os.environ, **{f"AIRFLOW__METRICS__{name.upper()}": value for name, value in settings.items()}},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return statsd, done.stdout

    return run_process


@STATSD
def test_a_task_sends_to_a_statsd_without_tags(run_process):
    statsd, _ = run_process("task")
    assert statsd.counts == {"poll.lucca.lucca_default": 2, "passed.lucca.lucca_default": 1}


@STATSD
def test_a_triggerer_sends_to_a_statsd_with_tags_whose_client_is_created_off_its_event_loop(run_process):
    client = "tests.support.statsd_client.ReportingStatsClient"
    statsd, output = run_process("triggerer", statsd_influxdb_enabled="True", statsd_custom_client_path=client)
    tags = ",vendor=lucca,conn_id=lucca_default"
    assert statsd.counts == {f"poll{tags}": 2, f"passed{tags}": 1}
    ((name, values),) = statsd.gauges("waits").items()
    assert name.startswith(f"waits{tags},hostname=")
    assert (values[0], values[-1]) == (1, 0)
    assert "BLOCKED" not in output
