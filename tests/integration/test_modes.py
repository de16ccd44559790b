# SPDX-License-Identifier: Apache-2.0
"""A sensor against the sandbox: what happens is the same in every mode."""

from __future__ import annotations

import json
import re

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException, AirflowSensorTimeout, AirflowSkipException

from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.sensors import base as sensors_base
from airflow_import_progress.sensors.lucca import LuccaLeaveImportSensor, LuccaUserLocationImportSensor
from airflow_import_progress.sensors.zilliz import ZillizImportSensor
from tests.support.sandbox_client import API_KEY


@pytest.fixture
def run(run_sensor):
    """Return a function that runs a sensor to its end, by default one of leaves."""

    def run(sensor_class=LuccaLeaveImportSensor, **arguments):
        return run_sensor(sensor_class, **arguments)

    run.mode = run_sensor.mode
    return run


def test_an_import_that_is_done_gives_its_progress(run, leave_import):
    import_id = leave_import(100)
    result = run(summary_id=import_id)
    assert (result["import_id"], result["state"], result["percent"]) == (import_id, "succeeded", 100.0)
    assert json.loads(json.dumps(result)) == result


def test_an_import_that_is_done_is_asked_for_once(run, sandbox, leave_import):
    import_id = leave_import(100)
    run(summary_id=import_id)
    assert len(sandbox.requests(import_id)) == 1


def test_an_import_that_gets_done_is_waited_for(run, sandbox, leave_import, clock):
    import_id = leave_import(0, 12, 57, 99, 100)
    started = clock.now
    assert run(summary_id=import_id)["state"] == "succeeded"
    assert len(sandbox.requests(import_id)) == 5
    # The last gap is shorter where the pace was seen.
    assert 3 * 20 <= clock.now - started <= 4 * 30


def test_the_pace_is_known_from_the_second_poll_on(run, leave_import, clock):
    if run.mode == "reschedule":
        pytest.skip("nothing is known of the poll before there")
    started = clock.now
    run(summary_id=leave_import(10, 80, 100))
    # Of a pace that is known only later, a second gap of at least 24 s would come of it.
    assert clock.now - started < 30 + 15


def test_an_import_that_fails_fails_the_task_with_what_is_known(run, leave_import):
    import_id = leave_import(0, 57, -1)
    with pytest.raises(ImportFailedError) as caught:
        run(summary_id=import_id)
    assert str(caught.value) == (
        f"Lucca leave import '{import_id}' (connection 'lucca_default') failed at the vendor (status -1). "
        f"Lucca gives the reason only in the import history of Absences, which lists imports made via the API too."
    )


def test_too_many_failed_records_fail_the_task(run, sandbox):
    results = {"errorLines": [{"lineNumber": 3, "error": "User doesn't exist"}], "globalErrorSummary": "1 error"}
    script = {"answers": [{"progress": 57}, {"progress": 100}], "results": results}
    import_id = sandbox.create_import("lucca", "user_location", script)
    with pytest.raises(
        ImportFailedError, match=r"1 failed record where max_failed_records allows 0.*line 3: User doesn't exist"
    ):
        run(LuccaUserLocationImportSensor, summary_id=import_id, check_results=True, max_failed_records=0)


@pytest.mark.parametrize("argument", ["soft_fail", "never_fail"])
def test_a_failed_import_is_a_skip_if_asked_for(run, leave_import, argument):
    import_id = leave_import(57, -1)
    with pytest.raises(AirflowSkipException, match=f"Skipped because {argument}=True: Lucca leave import"):
        run(summary_id=import_id, **{argument: True})


def test_a_failed_import_ends_a_silent_wait_too(run, leave_import):
    with pytest.raises(ImportFailedError):
        run(summary_id=leave_import(57, -1), silent_fail=True)


def test_an_import_that_never_ends_times_out(run, leave_import, clock):
    import_id = leave_import(57)
    started = clock.now
    with pytest.raises(AirflowSensorTimeout) as caught:
        run(summary_id=import_id, timeout=600)
    assert str(caught.value) == (
        f"Lucca leave import '{import_id}' (connection 'lucca_default'): not done within the timeout of 600 s. "
        f"Last known: [###########---------] 57 % · running (status 57). "
        f"The import may still be running at the vendor; clear this task to wait again."
    )
    # The last poll may have to queue for the vendor's rate limit.
    assert clock.now - started == pytest.approx(600, abs=1.5)


@pytest.mark.parametrize("timeout", [0, 1, 4, 5, 6, 9])
def test_a_short_timeout_is_kept_too(run, leave_import, clock, timeout):
    started = clock.now
    with pytest.raises(AirflowSensorTimeout):
        run(summary_id=leave_import(57), timeout=timeout, poke_interval=3)
    # The last poll may have to queue for the vendor's rate limit.
    assert timeout - 0.001 <= clock.now - started < timeout + 1.5


@pytest.mark.parametrize("argument", ["soft_fail", "never_fail"])
def test_a_timeout_is_a_skip_if_asked_for(run, leave_import, argument):
    with pytest.raises(AirflowSkipException, match="not done within the timeout"):
        run(summary_id=leave_import(57), timeout=600, **{argument: True})


def test_the_last_poll_is_at_the_deadline(run, sandbox, leave_import):
    import_id = leave_import(1, 100)
    assert run(summary_id=import_id, poke_interval=1000, timeout=10)["state"] == "succeeded"


def test_exponential_backoff_asks_less_and_less_often(run, sandbox, leave_import, clock):
    import_id = leave_import(*[57] * 8, 100)
    run(summary_id=import_id, poke_interval=10, exponential_backoff=True, timeout=86400)
    assert clock.now - 1_800_000_000 > 8 * 10 * 3


def test_max_wait_bounds_the_backoff(run, sandbox, leave_import, clock):
    import_id = leave_import(*[57] * 20, 100)
    run(summary_id=import_id, poke_interval=10, exponential_backoff=True, max_wait=60, timeout=86400)
    assert clock.now - 1_800_000_000 <= 20 * 60


FAULTS = {
    "503": {"status": 503},
    "429": {"status": 429, "headers": {"Retry-After": "60"}},
    "408": {"status": 408},
    "not JSON": {"body": "<html>maintenance</html>"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_passing_fault_is_waited_out(run, sandbox, leave_import, fault):
    import_id = leave_import(57, 100)
    sandbox.add_fault(fault, import_id=import_id, times=5)
    assert run(summary_id=import_id)["state"] == "succeeded"


def test_a_good_poll_resets_the_count_of_failures(run, sandbox, leave_import):
    import_id = leave_import(10, 20, 100)
    for _ in range(3):
        sandbox.add_fault({"status": 503}, import_id=import_id, times=2)
        sandbox.add_fault({"delay": 0}, import_id=import_id)
    assert run(summary_id=import_id, max_consecutive_failures=3)["state"] == "succeeded"


def test_retry_after_is_honoured(run, sandbox, leave_import, clock):
    import_id = leave_import(100)
    sandbox.add_fault({"status": 503, "headers": {"Retry-After": "500"}}, import_id=import_id)
    started = clock.now
    run(summary_id=import_id)
    assert 500 <= clock.now - started <= 502


def test_a_vendor_that_asks_for_fewer_requests_is_waited_for_as_long_as_it_may_last(run, sandbox, leave_import, clock):
    import_id = leave_import(57, 100)
    sandbox.add_fault({"delay": 0}, import_id=import_id, times=1)
    sandbox.add_fault({"status": 429}, import_id=import_id, times=15)
    started = clock.now
    result = run(summary_id=import_id, max_consecutive_failures=1, timeout=24 * 3600)
    assert result["state"] == "succeeded"
    assert len(sandbox.requests(import_id)) == 17
    # Ever less often, so that the vendor recovers; a rescheduled wait keeps nothing between two polls.
    assert clock.now - started > (15 * 24 if run.mode == "reschedule" else 1800)


def test_too_many_requests_for_ever_end_at_the_timeout_with_the_vendors_words(run, sandbox, leave_import):
    import_id = leave_import(57)
    sandbox.add_fault({"status": 429, "body": '{"Message": "slow down"}'}, import_id=import_id, times=None)
    with pytest.raises(AirflowSensorTimeout, match=r"not done within .*HTTP 429 Too Many Requests: slow down. .*fewer"):
        run(summary_id=import_id, max_consecutive_failures=1)


def test_a_poll_that_is_refused_as_too_many_is_not_followed_by_another_one_sooner_than_usual(
    run, sandbox, leave_import, clock
):
    import_id = leave_import(57, 100)
    sandbox.add_fault({"delay": 0}, import_id=import_id, times=1)
    sandbox.add_fault({"status": 429}, import_id=import_id, times=5)
    started = clock.now
    run(summary_id=import_id, poke_interval=600, timeout=24 * 3600)
    assert clock.now - started >= 6 * 480


def test_refusals_and_answers_that_alternate_do_not_flood_the_log(run, sandbox, leave_import, times_logged):
    if run.mode == "reschedule":
        pytest.skip("Airflow keeps nothing between two polls")
    import_id = leave_import(57, *[57] * 15, 100)
    for _ in range(15):
        sandbox.add_fault({"delay": 0}, import_id=import_id, times=1)
        sandbox.add_fault({"status": 429}, import_id=import_id, times=1)
    run(summary_id=import_id)
    # 31 polls take 15 minutes.
    assert 1 <= times_logged("The vendor asks for fewer requests") <= 2
    assert times_logged("polls get through again") <= 2


def test_too_many_requests_neither_count_as_failures_nor_end_their_row(run, sandbox, leave_import):
    import_id = leave_import(57, 100)
    sandbox.add_fault({"delay": 0}, import_id=import_id, times=1)
    for status in (503, 429, 429, 503):
        sandbox.add_fault({"status": status}, import_id=import_id, times=1)
    with pytest.raises(ImportPollError, match="gave up, because 2 polls in a row"):
        run(summary_id=import_id, max_consecutive_failures=2)
    assert len(sandbox.requests(import_id)) == 5


def test_too_many_requests_are_logged_once_and_not_at_each_poll(run, sandbox, leave_import, times_logged):
    if run.mode == "reschedule":
        pytest.skip("Airflow keeps nothing between two polls")
    import_id = leave_import(57, 100)
    sandbox.add_fault({"delay": 0}, import_id=import_id, times=1)
    sandbox.add_fault({"status": 429, "headers": {"Retry-After": "20"}}, import_id=import_id, times=15)
    run(summary_id=import_id)
    for words in ("The vendor asks for fewer requests", "polls get through again"):
        assert times_logged(words) == 1


@pytest.mark.parametrize("code", [4, 8, 429, 1807])
def test_the_codes_of_a_limiter_are_no_failures_either(run_sensor, running_sandbox, connect_to, code):
    connect_to("zilliz", extra={"api_version": "v2"})
    job_id = running_sandbox.create_import("zilliz", "milvus", {"duration": 0})
    refusal = {"status": 200, "body": json.dumps({"code": code, "message": "request is rejected by limiter"})}
    running_sandbox.add_fault(refusal, import_id=job_id, times=12)
    try:
        progress = run_sensor(ZillizImportSensor, job_id=job_id, max_consecutive_failures=1, timeout=24 * 3600)
    finally:
        running_sandbox.reset()
    assert progress["state"] == "succeeded"


def test_a_fault_that_does_not_pass_is_given_up(run, sandbox, leave_import):
    import_id = leave_import(100)
    sandbox.add_fault({"status": 503}, import_id=import_id, times=None)
    with pytest.raises(ImportPollError) as caught:
        run(summary_id=import_id)
    assert not isinstance(caught.value, ImportFailedError)
    assert "gave up, because 10 polls in a row did not get through" in str(caught.value)
    assert "Whether the import succeeded is unknown" in str(caught.value)
    assert "HTTP 503 Service Unavailable" in str(caught.value)
    assert len(sandbox.requests(import_id)) == 10


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_count_of_failures_goes_with_the_wait(run, sandbox, leave_import, limit):
    import_id = leave_import(100)
    sandbox.add_fault({"status": 503}, import_id=import_id, times=None)
    with pytest.raises(ImportPollError):
        run(summary_id=import_id, max_consecutive_failures=limit)
    assert len(sandbox.requests(import_id)) == limit


def test_a_fault_that_lasts_past_the_deadline_is_a_timeout_that_names_it(run, sandbox, leave_import):
    import_id = leave_import(57)
    sandbox.add_fault({"delay": 0}, import_id=import_id)
    sandbox.add_fault({"status": 503}, import_id=import_id, times=None)
    with pytest.raises(AirflowSensorTimeout, match=r"not done within.*The last poll failed: .*HTTP 503"):
        run(summary_id=import_id, timeout=60)


REFUSALS = {"401": 401, "403": 403, "404": 404}


@pytest.mark.parametrize("status", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("polls_before", [0, 2])
def test_a_refusal_fails_at_once(run, sandbox, leave_import, status, polls_before):
    import_id = leave_import(57)
    if polls_before:
        sandbox.add_fault({"delay": 0}, import_id=import_id, times=polls_before)
    sandbox.add_fault({"status": status, "body": "{}"}, import_id=import_id, times=None)
    with pytest.raises(ImportRequestError, match=f"HTTP {status}"):
        run(summary_id=import_id)
    assert len(sandbox.requests(import_id)) == polls_before + 1


@pytest.mark.parametrize("polls_before", [0, 2])
@pytest.mark.parametrize("answer", [-2, 101, 3.5, True, "100", None, {}])
def test_a_malformed_answer_is_never_success(run, leave_import, answer, polls_before):
    with pytest.raises(ImportProtocolError):
        run(summary_id=leave_import(*[57] * polls_before, answer))


@pytest.mark.parametrize("polls_before", [0, 1])
def test_what_could_not_be_found_out_is_no_soft_failure(run, sandbox, leave_import, polls_before):
    import_id = leave_import(*[57] * polls_before, "garbage")
    with pytest.raises(ImportProtocolError):
        run(summary_id=import_id, soft_fail=True)


@pytest.mark.parametrize("polls_before", [0, 1])
def test_never_fail_skips_whatever_happened(run, sandbox, leave_import, polls_before):
    import_id = leave_import(*[57] * polls_before, "garbage")
    with pytest.raises(AirflowSkipException, match="Skipped because never_fail=True: "):
        run(summary_id=import_id, never_fail=True)


@pytest.mark.parametrize("polls_before", [0, 1])
def test_silent_fail_goes_on_after_errors_that_would_end_the_wait(run, leave_import, polls_before):
    import_id = leave_import(*[57] * polls_before, "garbage", *["garbage"] * 15, 100)
    assert run(summary_id=import_id, silent_fail=True)["state"] == "succeeded"


@pytest.mark.parametrize("polls_before", [0, 2])
def test_a_defect_means_the_same_everywhere(run, leave_import, monkeypatch, polls_before):
    polls = iter(range(100))
    poll = LuccaLeaveImport.poll

    def defective(self, connection):
        if next(polls) < polls_before:
            return (yield from poll(self, connection))
        raise KeyError("progress")

    monkeypatch.setattr(LuccaLeaveImport, "poll", defective)
    with pytest.raises(ImportProgressError, match=r"KeyError: 'progress'. This is a defect") as caught:
        run(summary_id=leave_import(57))
    assert type(caught.value) is ImportProgressError


def test_a_connection_that_is_gone_for_a_while_is_waited_for(run, leave_import, monkeypatch):
    import_id = leave_import(10, 20, 100)
    lookups = iter(range(100))
    get_connection = LuccaHook.get_connection

    def flaky(cls, conn_id):
        if next(lookups) in (1, 2):
            raise AirflowNotFoundException("isn't defined")
        return get_connection(conn_id)

    async def aflaky(cls, conn_id):
        return flaky(cls, conn_id)

    monkeypatch.setattr(LuccaHook, "get_connection", classmethod(flaky))
    monkeypatch.setattr(LuccaHook, "aget_connection", classmethod(aflaky), raising=False)
    assert run(summary_id=import_id)["state"] == "succeeded"


def test_a_long_retry_after_does_not_hide_the_end_of_the_import(run, sandbox, leave_import, clock):
    import_id = leave_import(100)
    sandbox.add_fault({"status": 503, "headers": {"Retry-After": "604800"}}, import_id=import_id)
    started = clock.now
    run(summary_id=import_id, timeout=10**6)
    assert clock.now - started <= 3601


def test_silent_fail_ends_at_the_timeout(run, leave_import):
    with pytest.raises(AirflowSensorTimeout, match="The last poll failed"):
        run(summary_id=leave_import("garbage"), silent_fail=True, timeout=600)


def test_the_log_tells_each_step_with_a_bar_and_not_each_poll(run, leave_import, logged):
    if run.mode == "reschedule":
        pytest.skip("each poke is a log of its own there")
    run(summary_id=leave_import(0, 0, 0, *range(1, 100), 100))
    # Airflow 2 prints what it logs as well.
    bars = list(dict.fromkeys(bar.strip() for bar in re.findall(r"\[[#-]{20}\] [^\[\n\x1b]*", logged())))
    assert bars[0].startswith("[--------------------] 0 % · pending")
    assert any(bar.startswith("[##########----------] 50 % · running · about ") for bar in bars)
    assert bars[-1].startswith("[####################] 100 % · succeeded")
    assert len(bars) <= 15


def test_the_key_is_in_no_log_line_and_no_exception(run, sandbox, leave_import, logged):
    import_id = leave_import(57, 58)
    sandbox.add_fault({"status": 503, "body": f"key={API_KEY}"}, import_id=import_id, times=2)
    sandbox.add_fault({"status": 401, "body": f"key={API_KEY}"}, import_id=import_id, times=None)
    with pytest.raises(ImportRequestError) as caught:
        run(summary_id=import_id)
    assert API_KEY not in str(caught.value)
    log = logged()
    assert "HTTP 503" in log
    assert API_KEY not in log


def test_a_wait_does_not_fail_for_want_of_a_button(run, leave_import, monkeypatch):
    def store_link(*_):
        raise OSError("no database")

    monkeypatch.setattr(sensors_base, "store_link", store_link)
    assert run(summary_id=leave_import(10, 100))["state"] == "succeeded"
