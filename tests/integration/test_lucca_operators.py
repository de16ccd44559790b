# SPDX-License-Identifier: Apache-2.0
"""Lucca's operators against the sandbox: each import is started once, whatever happens."""

from __future__ import annotations

import asyncio
import json

import pytest

from airflow_import_progress.compat import AirflowSensorTimeout, AirflowSkipException
from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.files import ImportFile
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport, LuccaUserLocationImport
from airflow_import_progress.http.conversation import changes
from airflow_import_progress.operators.base import BaseImportOperator
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator, LuccaUserLocationImportOperator
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor
from airflow_import_progress.starting.prepared import ImportNotFoundError
from airflow_import_progress.starting.store import StartStore
from tests.support.operators import LEAVES, UNREACHABLE, Killed, die
from tests.support.sandbox_client import API_KEY

LOCATIONS = "login;workLocationName;areaName;date;position;comment;isDeletion\nada;Paris;B1;2026-02-01;FullDay;;false\n"
LEAVES_PATH = "/timmi-absences/api/imports/v1.0/leavePeriods"


@pytest.fixture
def locations(tmp_path):
    file = tmp_path / "locations.csv"
    file.write_text(LOCATIONS)
    return file


@pytest.fixture(scope="module")
def running_sandbox():
    """A sandbox in which an import takes a few polls."""
    with Sandbox(lucca_api_key=API_KEY, import_duration=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def lucca(sandbox):
    return sandbox


@pytest.fixture
def slow_lucca(monkeypatch):
    """A sandbox in which imports take hours."""
    with Sandbox(lucca_api_key=API_KEY, import_duration=10_000) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_LUCCA_DEFAULT", json.dumps(sandbox.airflow_connection("lucca")))
        yield sandbox


def started(sandbox):
    """Return the number of imports that were started."""
    return len(sandbox.imports())


def posts(sandbox):
    return [request for request in sandbox.requests() if request["method"] == "POST"]


# The start


def test_an_import_is_started_and_waited_for(lucca, operator_task, leaves):
    progress = operator_task(LuccaLeaveImportOperator, file=str(leaves)).run()
    assert (progress["state"], progress["percent"]) == ("succeeded", 100.0)
    (import_,) = lucca.imports()
    assert (progress["import_id"], import_["file_name"]) == (import_["import_id"], "leaves é.csv")


def test_lucca_receives_the_parameters_by_its_own_names(lucca, operator_task, leaves):
    operator_task(LuccaLeaveImportOperator, file=leaves, create=False, recredit=True, synchronize=False).run()
    (post,) = posts(lucca)
    assert post["query"] == {
        "create": "false",
        "recredit": "true",
        "synchronize": "false",
        "async": "true",
        "originalFileName": "leaves é.csv",
    }


def test_a_simulation_of_user_locations_ends_with_luccas_analysis(lucca, operator_task, locations):
    progress = operator_task(LuccaUserLocationImportOperator, file=locations, create=False).run()
    assert (progress["state"], progress["details"]["created"]) == ("succeeded", 1)
    assert [request["path"].rpartition("/")[2] for request in lucca.requests()][-1] == "analysis"


def test_refused_lines_fail_the_task_above_the_limit(lucca, operator_task):
    file = LOCATIONS.encode() + b"nobody;;B1;2026-02-01;FullDay;;false\n"
    with pytest.raises(ImportFailedError, match="1 failed record where max_failed_records allows 0"):
        operator_task(LuccaUserLocationImportOperator, file=file, max_failed_records=0).run()


def test_without_waiting_the_result_is_what_a_sensor_takes(lucca, operator_task, leaves, run_sensor):
    summary_id = operator_task(LuccaLeaveImportOperator, file=leaves, wait_for_completion=False).run()
    assert run_sensor(LuccaLeaveImportSensor, summary_id=summary_id)["import_id"] == summary_id


def test_an_import_that_fails_fails_the_task(lucca, operator_task):
    with pytest.raises(ImportFailedError):
        operator_task(LuccaLeaveImportOperator, file=LEAVES.replace("01/02/2026", "not a date").encode()).run()


@pytest.mark.parametrize("path", ["/nowhere/leaves.csv", "", "None"])
def test_without_a_file_nothing_is_sent(lucca, operator_task, path):
    with pytest.raises(ImportFileError):
        operator_task(LuccaLeaveImportOperator, file=path).run()
    assert lucca.requests() == []


def test_a_wrong_key_is_refused_with_luccas_words_and_nothing_is_recorded(lucca, operator_task, leaves, connect):
    connect(password="wrong")
    task = operator_task(LuccaLeaveImportOperator, file=leaves, soft_fail=True)
    with pytest.raises(ImportStartRefusedError, match=r"HTTP 401.*enter a valid one.*No import was started"):
        task.run()
    assert (started(lucca), task.record) == (0, None)


def test_a_connection_that_is_refused_is_tried_again_and_starts_one_import(lucca, operator_task, leaves, connect):
    connect(**UNREACHABLE)

    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with pytest.raises(ImportPollError, match="the connection was refused"):
        task.run()
    assert task.record is None
    connect()
    assert task.run()["state"] == "succeeded"
    assert started(lucca) == 1


def test_a_connection_that_stays_refused_is_tried_as_often_as_polls_may_fail(
    lucca, operator_task, leaves, connect, times_logged
):
    connect(**UNREACHABLE)
    with pytest.raises(ImportPollError):
        operator_task(LuccaLeaveImportOperator, file=leaves, max_consecutive_failures=4).run()
    assert times_logged("and is repeated in") == 3


def test_a_connection_that_is_missing_may_be_retried(lucca, operator_task, leaves):
    task = operator_task(LuccaLeaveImportOperator, file=leaves, lucca_conn_id="nowhere")
    with pytest.raises(ImportRequestError, match="Airflow does not find this connection"):
        task.run()
    assert task.record is None


# Lost answers and second tries


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_error_that_does_not_exclude_a_start_is_never_followed_by_a_second_request(
    lucca, operator_task, leaves, status
):
    lucca.add_fault({"status": status}, vendor="lucca", path_contains="leavePeriods", times=1)
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with pytest.raises(ImportStartUnknownError, match=r"unknown whether.*import history of Absences.*clear this task"):
        task.run()
    with pytest.raises(ImportStartUnknownError):
        task.run()
    assert len(posts(lucca)) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"reset": True}, {"body": "<html>"}])
def test_a_lost_answer_of_an_import_that_was_started_is_never_followed_by_a_second_request(
    lucca, operator_task, leaves, fault
):
    lucca.add_fault(fault, vendor="lucca", path_contains="leavePeriods", processed=True)
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    for _ in range(2):
        with pytest.raises(ImportStartUnknownError):
            task.run()
    assert started(lucca) == 1


def test_after_the_report_a_clear_starts_it_anew(lucca, operator_task, leaves):
    lucca.add_fault({"status": 500}, vendor="lucca", path_contains="leavePeriods", times=1)
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with pytest.raises(ImportStartUnknownError):
        task.run()
    task.clear()
    assert task.run()["state"] == "succeeded"
    assert len(posts(lucca)) == 2


def test_an_unknown_start_is_not_skipped_by_soft_fail_but_by_never_fail(lucca, operator_task, leaves):
    lucca.add_fault({"status": 500}, vendor="lucca", path_contains="leavePeriods", times=2)
    with pytest.raises(ImportStartUnknownError):
        operator_task(LuccaLeaveImportOperator, file=leaves, soft_fail=True).run()
    with pytest.raises(AirflowSkipException):
        operator_task(LuccaLeaveImportOperator, file=leaves, never_fail=True).run()


def test_a_record_that_could_not_be_stored_after_the_answer_is_completed_at_the_end(
    lucca, operator_task, leaves, monkeypatch
):
    if operator_task.args[-1] == "reschedule":
        pytest.skip("the next poke is another process, which does not know the import")
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    save = BaseImportOperator._save

    def fail(self, store, record):
        if record.state != "started":
            save(self, store, record)

    monkeypatch.setattr(BaseImportOperator, "_save", fail)
    first = task.run()
    assert (task.record["state"], task.record["import_fields"]) == ("ended", {"summary_id": first["import_id"]})
    assert task.run()["import_id"] == first["import_id"]


def test_a_record_that_cannot_be_read_after_the_answer_does_not_lose_the_import(
    lucca, operator_task, leaves, monkeypatch
):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    start, load = LuccaHook.start_leave_import, StartStore.load
    is_answered = []

    def start_leave_import(*args, **kwargs):
        import_ = start(*args, **kwargs)
        is_answered.append(True)
        return import_

    def fail_once(store):
        if is_answered:
            is_answered.clear()
            raise RuntimeError("Airflow's API did not answer")
        return load(store)

    monkeypatch.setattr(LuccaHook, "start_leave_import", start_leave_import)
    monkeypatch.setattr(StartStore, "load", fail_once)
    assert task.run()["state"] == "succeeded"
    assert (started(lucca), task.record["state"]) == (1, "ended")


def test_a_search_that_could_not_be_sent_is_never_followed_by_a_second_request(
    lucca, operator_task, leaves, monkeypatch
):
    def find_import(operator, hook, record):
        raise ImportPollError("the connection was refused", transient=True, not_sent=True)

    monkeypatch.setattr(LuccaLeaveImportOperator, "find_import", find_import)
    lucca.add_fault({"reset": True}, vendor="lucca", path_contains="leavePeriods", processed=True, times=1)
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    for _ in range(2):
        with pytest.raises(ImportPollError, match="unknown whether the import was started"):
            task.run()
    assert started(lucca) == 1


@pytest.mark.parametrize("is_cleared", [False, True])
def test_a_worker_that_dies_during_the_request_leads_to_a_report(lucca, operator_task, leaves, monkeypatch, is_cleared):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "start_leave_import", die)
        with pytest.raises(Killed):
            task.run()
    if is_cleared:
        task.clear()
    with pytest.raises(ImportStartUnknownError, match="An earlier try of this task ended while it was sent"):
        task.run()
    task.clear()
    assert task.run()["state"] == "succeeded"
    assert started(lucca) == 1


def test_a_worker_that_dies_while_waiting_leads_to_a_wait_for_the_same_import(
    lucca, operator_task, leaves, monkeypatch, logged
):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "get_progress", die)
        with pytest.raises(Killed):
            task.run()
    assert task.run()["state"] == "succeeded"
    assert started(lucca) == 1
    assert "Nothing is sent, and the wait continues" in logged()


def test_a_retry_waits_for_its_import_when_the_file_is_gone(lucca, operator_task, leaves, monkeypatch, logged):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "get_progress", die)
        with pytest.raises(Killed):
            task.run()
    leaves.unlink()
    assert task.run()["state"] == "succeeded"
    assert started(lucca) == 1
    assert "the wait continues, but it is unknown whether the content" in logged()


# Tries that Airflow has lost, and that still run while a later one does


def test_a_try_that_was_lost_while_it_read_the_file_starts_nothing(lucca, operator_task, leaves, monkeypatch):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    digest, later = ImportFile.digest, []

    def digest_slowly(file):
        if not later:
            later.append("begun")
            later.append(task.run())
        return digest(file)

    monkeypatch.setattr(ImportFile, "digest", digest_slowly)
    with pytest.raises(RuntimeError, match="by a later try that Airflow began"):
        task.run()
    assert (later[1]["state"], started(lucca)) == ("succeeded", 1)
    assert task.record["import_fields"] == {"summary_id": later[1]["import_id"]}


def test_a_try_that_was_lost_before_its_request_sends_nothing(lucca, operator_task, leaves, monkeypatch):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    save, later = StartStore.save, []

    def save_slowly(store, record):
        save(store, record)
        if not later:
            later.append("begun")
            with pytest.raises(ImportStartUnknownError):
                task.run()

    monkeypatch.setattr(StartStore, "save", save_slowly)
    with pytest.raises(RuntimeError, match="this try sends nothing any more"):
        task.run()
    assert (posts(lucca), task.record["state"]) == ([], "unknown")


def test_a_lost_try_does_not_remove_the_record_of_a_later_one(lucca, operator_task, leaves, monkeypatch):
    task = operator_task(LuccaLeaveImportOperator, file=leaves, max_consecutive_failures=1)
    start, later = LuccaHook.start_leave_import, []

    def start_slowly(*args, **kwargs):
        if later:
            return start(*args, **kwargs)
        later.append("begun")
        task.clock.now += 600
        with pytest.raises(ImportStartUnknownError):
            task.run()
        task.clear()
        changes_before = changes.number
        later.append(task.run())
        # The later try runs in another process.
        monkeypatch.setattr(changes, "number", changes_before)
        raise ImportPollError("the connection was refused", transient=True, not_sent=True)

    monkeypatch.setattr(LuccaHook, "start_leave_import", start_slowly)
    with pytest.raises(RuntimeError, match="by a later try"):
        task.run()
    assert task.record["import_fields"] == {"summary_id": later[1]["import_id"]}


def test_a_lost_try_whose_request_was_sent_reports_the_second_import(lucca, operator_task, leaves, monkeypatch):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    start, later = LuccaHook.start_leave_import, []

    def start_slowly(*args, **kwargs):
        if not later:
            later.append("begun")
            task.clock.now += 600
            with pytest.raises(ImportStartUnknownError):
                task.run()
            task.clear()
            later.append(task.run())
        return start(*args, **kwargs)

    monkeypatch.setattr(LuccaHook, "start_leave_import", start_slowly)
    with pytest.raises(ImportStartUnknownError, match="may be imported twice"):
        task.run()
    assert task.record["import_fields"] == {"summary_id": later[1]["import_id"]}


@pytest.mark.parametrize("error", [ImportStartUnknownError("the connection broke"), ImportFailedError("at once")])
def test_a_lost_try_whose_request_fails_leaves_the_record_of_a_later_one(
    slow_lucca, operator_task, leaves, monkeypatch, error
):
    task = operator_task(LuccaLeaveImportOperator, file=leaves, timeout=60)
    start, later = LuccaHook.start_leave_import, []

    def start_slowly(*args, **kwargs):
        if later:
            return start(*args, **kwargs)
        later.append("begun")
        task.clock.now += 600
        with pytest.raises(ImportStartUnknownError):
            task.run()
        task.clear()
        with pytest.raises(AirflowSensorTimeout):
            task.run()
        later.append(task.record)
        raise error

    monkeypatch.setattr(LuccaHook, "start_leave_import", start_slowly)
    with pytest.raises(type(error)):
        task.run()
    assert task.record == later[1]
    assert task.record["state"] == "started"


def test_a_lost_try_does_not_start_an_import_after_the_record_of_a_later_one_was_removed(
    lucca, operator_task, leaves, monkeypatch
):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with monkeypatch.context() as patch:
        patch.setattr(LuccaHook, "start_leave_import", die)
        with pytest.raises(Killed):
            task.run()

    def removed(operator, hook, record):
        operator._start_store.remove()
        raise ImportNotFoundError

    monkeypatch.setattr(LuccaLeaveImportOperator, "find_import", removed)
    with pytest.raises(RuntimeError, match="was changed or removed"):
        task.run()
    assert posts(lucca) == []


def test_a_record_that_cannot_be_read_again_starts_nothing_and_a_retry_starts_the_import(
    lucca, operator_task, leaves, monkeypatch
):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    with monkeypatch.context() as patch:
        load, loads = StartStore.load, []

        def load_with_one_fault(store):
            loads.append(store)
            # After the first read, and that after the file was read.
            if len(loads) == 3:
                raise OSError("503 of Airflow's API server")
            return load(store)

        patch.setattr(StartStore, "load", load_with_one_fault)
        with pytest.raises(RuntimeError, match="no import was started"):
            task.run()
    assert (posts(lucca), task.record) == ([], None)
    assert task.run()["state"] == "succeeded"


def test_a_rescheduled_try_reads_the_file_once(slow_lucca, operator_task, leaves, monkeypatch):
    digests = []
    digest = ImportFile.digest
    monkeypatch.setattr(ImportFile, "digest", lambda self: digests.append(self) or digest(self))
    with pytest.raises(AirflowSensorTimeout):
        operator_task(LuccaLeaveImportOperator, file=leaves, timeout=600).run()
    assert len(digests) == 1


def test_a_retry_after_the_end_was_recorded_waits_for_the_same_import(lucca, operator_task, leaves):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    first, second = task.run(), task.run()
    assert first["import_id"] == second["import_id"]
    assert started(lucca) == 1


def test_a_clear_after_the_end_starts_another_import(lucca, operator_task, leaves):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    first = task.run()
    task.clear()
    assert task.run()["import_id"] != first["import_id"]
    assert started(lucca) == 2


def test_a_clear_after_a_failed_import_starts_another_import(lucca, operator_task, tmp_path):
    file = tmp_path / "leaves.csv"
    file.write_text(LEAVES.replace("01/02/2026", "not a date"))
    task = operator_task(LuccaLeaveImportOperator, file=file)
    with pytest.raises(ImportFailedError):
        task.run()
    file.write_text(LEAVES)
    task.clear()
    assert task.run()["state"] == "succeeded"


def test_a_clear_while_the_import_runs_waits_for_it(slow_lucca, operator_task, leaves, logged):
    task = operator_task(LuccaLeaveImportOperator, file=leaves, timeout=60)
    with pytest.raises(AirflowSensorTimeout):
        task.run()
    leaves.write_text(LEAVES + "Acme;2;Hopper;Grace;2;01/02/2026;AM;02/02/2026;PM;true\n")
    task.clear()
    with pytest.raises(AirflowSensorTimeout):
        task.run()
    assert started(slow_lucca) == 1
    assert "The content to import has changed since the start" in logged()


def test_the_record_contains_neither_the_key_nor_the_content(lucca, operator_task, leaves):
    task = operator_task(LuccaLeaveImportOperator, file=leaves)
    task.run()
    assert "Lovelace" not in task.stored
    assert API_KEY not in task.stored


# The hook


def test_the_hook_starts_both_kinds_of_imports(lucca, leaves, locations):
    hook = LuccaHook()
    assert isinstance(hook.start_leave_import(leaves), LuccaLeaveImport)
    assert isinstance(hook.start_user_location_import(locations.read_bytes()), LuccaUserLocationImport)
    assert isinstance(asyncio.run(hook.astart_leave_import(str(leaves))), LuccaLeaveImport)
    assert isinstance(asyncio.run(hook.astart_user_location_import(locations)), LuccaUserLocationImport)
    assert started(lucca) == 4
