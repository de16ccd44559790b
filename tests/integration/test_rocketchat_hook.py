# SPDX-License-Identifier: Apache-2.0
"""The Rocket.Chat hook and sensor against the sandbox, which answers as the real server does."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportPollError,
    ImportRequestError,
)
from airflow_import_progress.hooks import rocketchat_login
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.progress import ImportState
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor

TOKEN = "pat-never-to-be-seen"
PASSWORD = "password-never-to-be-seen"
USERS = [{"importIds": [f"hr-{number}"], "emails": [f"{number}@example.com"]} for number in range(3)]


@pytest.fixture
def rocketchat_sandbox(running_sandbox, connect_to, monkeypatch):
    monkeypatch.setattr(rocketchat_login, "_log_ins", {})
    running_sandbox.set_credentials("rocketchat", auth_token=TOKEN, username="importer", password=PASSWORD)
    connect_to("rocketchat")
    yield running_sandbox
    running_sandbox.reset()


@pytest.fixture
def by_password(rocketchat_sandbox, connect_to):
    connect_to("rocketchat", login="importer", password=PASSWORD, extra={"auth_method": "password"})


@pytest.fixture
def create(rocketchat_sandbox):
    """Return a function that creates an import of users with this course, and gives its operation id."""

    def create(key="slack-users", **script):
        return rocketchat_sandbox.create_import("rocketchat", key, script)

    return create


def step(name, **count):
    return {
        "key": "csv",
        "name": "CSV",
        "step": name,
        "count": {"completed": 0, "total": 128, "error": 0, **count},
        "success": True,
    }


def paths(sandbox):
    return [asked["path"].rpartition("/")[2] for asked in sandbox.requests()]


# The hook


def test_tells_how_far_the_last_import_is(rocketchat_sandbox, create, get_by):
    create(points=[[0, 50]], records=200)
    progress = get_by(RocketChatHook(), RocketChatImport())
    assert (progress.state, progress.total) == (ImportState.RUNNING, 200)
    assert 0 < progress.percent < 100
    assert paths(rocketchat_sandbox) == ["getImportProgress"]


def test_follows_an_operation(rocketchat_sandbox, create, get_by):
    operation_id = create(duration=0)
    progress = get_by(RocketChatHook(), RocketChatImport(operation_id=operation_id))
    assert (progress.state, progress.percent, progress.import_id) == (ImportState.SUCCEEDED, 100.0, operation_id)
    assert paths(rocketchat_sandbox) == ["import.status"]


def test_follows_an_operation_of_a_server_before_6_3(rocketchat_sandbox, create, get_by):
    rocketchat_sandbox.change("rocketchat", before_6_3=True)
    operation_id = create(duration=0)
    progress = get_by(RocketChatHook(), RocketChatImport(operation_id=operation_id, started_after="2020-01-01"))
    assert progress.state is ImportState.SUCCEEDED
    assert paths(rocketchat_sandbox) == ["import.status", "getCurrentImportOperation"]


def test_counts_of_zero_while_a_server_before_6_3_imports_tell_nothing(rocketchat_sandbox, create, get_by):
    rocketchat_sandbox.change("rocketchat", before_6_3=True)
    create(points=[[0, 50]])
    progress = get_by(RocketChatHook(), RocketChatImport())
    assert (progress.state, progress.percent, progress.total) == (ImportState.RUNNING, None, None)


def test_an_import_that_died_in_a_restart_runs_for_ever_unless_its_operation_is_followed(
    rocketchat_sandbox, create, get_by
):
    operation_id = create(points=[[0, 50]])
    rocketchat_sandbox.change("rocketchat", restart=True)
    assert get_by(RocketChatHook(), RocketChatImport()).state is ImportState.RUNNING
    followed = get_by(RocketChatHook(), RocketChatImport(operation_id=operation_id))
    assert (followed.state, followed.vendor_status.startswith("importer_importing_")) == (ImportState.FAILED, True)


def test_a_done_import_survives_a_restart(rocketchat_sandbox, create, get_by):
    operation_id = create(duration=0)
    rocketchat_sandbox.change("rocketchat", restart=True)
    assert get_by(RocketChatHook(), RocketChatImport(operation_id=operation_id)).state is ImportState.SUCCEEDED


def test_the_last_import_is_reported_for_ever_and_may_be_somebody_elses(create, get_by):
    ours = create(duration=0)
    theirs = create(key="slack", duration=0)
    progress = get_by(RocketChatHook(), RocketChatImport(operation_id=ours))
    assert progress.state is ImportState.FAILED
    assert f"superseded by the import '{theirs}' (slack" in progress.message
    assert get_by(RocketChatHook(), RocketChatImport(importer_key="slack-users")).state is ImportState.FAILED
    assert get_by(RocketChatHook(), RocketChatImport(importer_key="slack")).state is ImportState.SUCCEEDED


def test_a_stale_done_is_refused(create, get_by):
    create(duration=0)
    assert get_by(RocketChatHook(), RocketChatImport(started_after="2099-01-01")).state is ImportState.FAILED
    assert get_by(RocketChatHook(), RocketChatImport(started_after="2020-01-01")).state is ImportState.SUCCEEDED


def test_a_cancelled_import_is_cancelled(rocketchat_sandbox, create, get_by):
    operation_id = create(points=[[0, 50]])
    rocketchat_sandbox.change("rocketchat", cancel=True)
    for import_ in (RocketChatImport(), RocketChatImport(operation_id=operation_id)):
        assert get_by(RocketChatHook(), import_).state is ImportState.CANCELLED


@pytest.mark.parametrize("fields", [{}, {"operation_id": "64d5"}, {"started_after": "2020-01-01"}])
def test_a_workspace_without_any_import_says_so(rocketchat_sandbox, get_by, fields):
    with pytest.raises(ImportRequestError, match=r"'rocketchat_default'.*this workspace has never had an import"):
        get_by(RocketChatHook(), RocketChatImport(**fields))


def test_an_importer_that_the_server_has_no_more_is_named(rocketchat_sandbox, create, get_by):
    create(key="slack")
    rocketchat_sandbox.change("rocketchat", importers=["csv"])
    with pytest.raises(ImportRequestError, match=r"The importer \(slack\) has no import class defined") as caught:
        get_by(RocketChatHook(), RocketChatImport())
    assert not caught.value.transient


def test_an_import_that_was_never_started_waits_for_somebody(rocketchat_sandbox, get_by):
    with RocketChatHook() as hook:
        operation_id = hook.request("POST", "/api/v1/import.new").json()["operation"]["_id"]
        import_ = RocketChatImport(operation_id=operation_id)
        assert get_by(RocketChatHook(), import_).state is ImportState.PENDING
        hook.request("POST", "/api/v1/import.addUsers", json={"users": USERS})
        assert get_by(RocketChatHook(), import_).state is ImportState.ACTION_REQUIRED


def test_a_done_import_that_somebody_looks_at_again_waits_for_somebody(create, get_by):
    operation_id = create(duration=0)
    with RocketChatHook() as hook:
        hook.request("GET", "/api/v1/getImportFileData")
    for import_ in (RocketChatImport(), RocketChatImport(operation_id=operation_id)):
        assert get_by(RocketChatHook(), import_).state is ImportState.ACTION_REQUIRED


def test_more_completed_than_total_is_no_more_than_all(create, get_by):
    operation_id = create(points=[[0, 99]], records=128, failed_records=2)
    progress = get_by(RocketChatHook(), RocketChatImport(operation_id=operation_id))
    assert progress.percent <= 100
    assert progress.processed <= progress.total == 128


def test_a_wrong_token_says_so_without_the_token(connect_to, create, get_by):
    create()
    connect_to("rocketchat", password="wrong-token-77")
    with pytest.raises(ImportRequestError, match=r"HTTP 401.*did not accept the credentials") as caught:
        get_by(RocketChatHook(), RocketChatImport())
    assert "wrong-token-77" not in str(caught.value)


def test_a_user_who_may_not_import_is_told_which_permission_is_missing(rocketchat_sandbox, create, get_by):
    create()
    rocketchat_sandbox.change("rocketchat", permissions=[])
    with pytest.raises(ImportRequestError, match=r"HTTP 403.*permission 'run-import'"):
        get_by(RocketChatHook(), RocketChatImport())


def test_the_rate_limit_says_how_long_to_wait(rocketchat_sandbox, create, get_by):
    create()
    rocketchat_sandbox.set_rate_limits({"rocketchat": 1})
    get_by(RocketChatHook(), RocketChatImport())
    with pytest.raises(ImportPollError, match="HTTP 429") as caught:
        get_by(RocketChatHook(), RocketChatImport())
    assert caught.value.transient
    assert 50 <= caught.value.retry_after <= 60


# The log-in


def test_logs_in_once_for_all_waits_of_a_process(rocketchat_sandbox, by_password, create, get_by):
    create()
    for _ in range(3):
        get_by(RocketChatHook(), RocketChatImport())
    assert paths(rocketchat_sandbox) == ["login", *["getImportProgress"] * 3]


def test_logs_in_again_once_after_its_token_was_revoked(rocketchat_sandbox, by_password, create, get_by):
    create()
    get_by(RocketChatHook(), RocketChatImport())
    rocketchat_sandbox.change("rocketchat", revoke_tokens=True)
    get_by(RocketChatHook(), RocketChatImport())
    assert paths(rocketchat_sandbox)[2:] == ["getImportProgress", "login", "getImportProgress"]


async def progress_for_many(count):
    async with contextlib.AsyncExitStack() as stack:
        hooks = [await stack.enter_async_context(RocketChatHook()) for _ in range(count)]
        polls = (hook.aget_progress(RocketChatImport()) for hook in hooks)
        return await asyncio.gather(*polls, return_exceptions=True)


def test_many_waits_that_need_a_log_in_at_the_same_time_share_it(rocketchat_sandbox, by_password, create):
    create()
    for expected in (["login"], ["login", "login"]):
        answers = asyncio.run(progress_for_many(20))
        assert {answer.state for answer in answers} == {ImportState.RUNNING}
        assert [path for path in paths(rocketchat_sandbox) if path == "login"] == expected
        rocketchat_sandbox.change("rocketchat", revoke_tokens=True)


def test_many_waits_share_a_log_in_that_fails(rocketchat_sandbox, by_password):
    rocketchat_sandbox.change("rocketchat", totp_code="123456")
    # Until all have asked for it.
    rocketchat_sandbox.add_fault({"delay": 1}, vendor="rocketchat")
    answers = asyncio.run(progress_for_many(5))
    assert {type(answer) for answer in answers} == {ImportRequestError}
    assert paths(rocketchat_sandbox) == ["login"]


def test_a_wait_that_is_cancelled_while_it_logs_in_takes_nothing_from_the_others(
    rocketchat_sandbox, by_password, create
):
    create()
    rocketchat_sandbox.add_fault({"delay": 0.3}, vendor="rocketchat")

    async def cancel_the_first():
        async with RocketChatHook() as first, RocketChatHook() as second:
            polls = [asyncio.create_task(hook.aget_progress(RocketChatImport())) for hook in (first, second)]
            await asyncio.sleep(0.15)
            polls[0].cancel()
            return await asyncio.gather(*polls, return_exceptions=True)

    cancelled, progress = asyncio.run(cancel_the_first())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert progress.state is ImportState.RUNNING
    assert paths(rocketchat_sandbox) == ["login", "getImportProgress"]


def test_a_wrong_password_says_so_without_the_password(connect_to, create, get_by):
    create()
    connect_to("rocketchat", login="importer", password="wrong-77", extra={"auth_method": "password"})
    with pytest.raises(ImportRequestError, match=r"/login refused the user name or password") as caught:
        get_by(RocketChatHook(), RocketChatImport())
    assert "wrong-77" not in str(caught.value)


def test_a_two_factor_demand_recommends_a_token(rocketchat_sandbox, by_password, create, get_by):
    create()
    rocketchat_sandbox.change("rocketchat", totp_code="123456")
    with pytest.raises(ImportRequestError, match=r"two-factor code.*personal access token"):
        get_by(RocketChatHook(), RocketChatImport())


# The "Test" button


def test_verifies_the_connection_of_a_workspace_without_imports(rocketchat_sandbox):
    ok, words = RocketChatHook().test_connection()
    assert ok
    assert words.endswith("may see imports. The workspace has not had an import yet.")


def test_verifies_the_connection_of_a_workspace_with_an_import(create):
    create()
    ok, words = RocketChatHook().test_connection()
    assert ok
    assert words.endswith("accepted the credentials, and the user may see imports.")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong"}, "HTTP 401"),
        ({"login": ""}, "The connection has no login. Enter the user id there."),
        ({"port": 1}, "refused"),
    ],
)
def test_says_what_is_wrong_with_a_connection(rocketchat_sandbox, connect_to, fields, words):
    connect_to("rocketchat", **fields)
    ok, said = RocketChatHook().test_connection()
    assert not ok
    assert words in said


@pytest.mark.parametrize("body", ["[]", "{}", '{"success": true}', "<html>"])
def test_does_not_verify_what_is_no_rocket_chat(rocketchat_sandbox, body):
    rocketchat_sandbox.add_fault({"body": body, "content_type": "application/json"}, vendor="rocketchat")
    assert RocketChatHook().test_connection()[0] is False


# The sensor, in every mode


def test_an_import_that_gets_done_is_waited_for(run_sensor, create):
    create(answers=[step("importer_new"), step("importer_importing_users", completed=50), step("importer_done")])
    result = run_sensor(RocketChatImportSensor, importer_key="csv")
    assert (result["state"], result["vendor_status"], result["import_id"]) == ("succeeded", "importer_done", "csv")


def test_an_operation_that_fails_fails_the_task(run_sensor, create):
    operation_id = create(answers=[step("importer_importing_users"), step("importer_import_failed")])
    with pytest.raises(ImportFailedError) as caught:
        run_sensor(RocketChatImportSensor, operation_id=operation_id)
    assert str(caught.value) == (
        f"Rocket.Chat import '{operation_id}' (connection 'rocketchat_default') failed at the vendor "
        f"(status 'importer_import_failed'). Check Administration > Import in Rocket.Chat."
    )


def test_a_superseded_operation_fails_the_task(run_sensor, create):
    ours = create(duration=0)
    create(key="slack", duration=0)
    with pytest.raises(ImportFailedError, match=rf"'{ours}'.*cannot pass: superseded by the import"):
        run_sensor(RocketChatImportSensor, operation_id=ours)


def test_somebody_who_has_to_act_is_waited_for(run_sensor, create, logged):
    create(answers=[step("importer_user_selection"), step("importer_importing_users"), step("importer_done")])
    assert run_sensor(RocketChatImportSensor)["state"] == "succeeded"
    log = logged()
    assert "it waits for somebody to act at the vendor (status 'importer_user_selection')" in log
    assert "Continue it under Administration > Import in Rocket.Chat" in log


@pytest.mark.parametrize("polls_before", [0, 1])
@pytest.mark.parametrize("name", ["importer_file_loaded", "importer_user_selection"])
def test_somebody_who_has_to_act_fails_the_task_if_asked_for(run_sensor, create, name, polls_before):
    create(answers=[*[step("importer_uploading")] * polls_before, step(name)])
    with pytest.raises(
        ImportActionRequiredError, match=rf"status '{name}'.*startImport or import\.run.*clear this task"
    ):
        run_sensor(RocketChatImportSensor, on_action_required="fail")


def test_a_wait_that_fails_for_somebody_does_not_say_that_it_waits(run_sensor, create, logged):
    create(answers=[step("importer_user_selection")])
    with pytest.raises(ImportActionRequiredError):
        run_sensor(RocketChatImportSensor, on_action_required="fail")
    assert "and this wait for that" not in logged()


def test_says_once_that_somebody_has_to_act(run_sensor, create, caplog, logged):
    if run_sensor.mode == "reschedule":
        pytest.skip("each poke is a log of its own there")
    create(answers=[*[step("importer_user_selection")] * 5, step("importer_done")])
    run_sensor(RocketChatImportSensor)
    assert count_of("waits for somebody to act", caplog, logged) == 1


def test_a_timeout_says_who_has_to_act(run_sensor, create):
    create(answers=[step("importer_user_selection")])
    with pytest.raises(
        AirflowSensorTimeout, match=r"\(status 'importer_user_selection'\)\. It waits for .* Continue it"
    ):
        run_sensor(RocketChatImportSensor, timeout=300)


def test_a_timeout_repeats_what_kept_it_waiting(run_sensor, create):
    create(answers=[step("importer_polishing")])
    with pytest.raises(AirflowSensorTimeout, match="does not know"):
        run_sensor(RocketChatImportSensor, importer_key="csv", timeout=300)


def test_says_once_that_it_trusts_whatever_the_workspace_reports(run_sensor, create, caplog, logged):
    create(answers=[*[step("importer_importing_users")] * 5, step("importer_done")])
    run_sensor(RocketChatImportSensor)
    assert count_of("trusts the import that the workspace reports", caplog, logged) == 1


def test_an_unknown_step_is_waited_out_with_one_warning(run_sensor, create, caplog, logged):
    if run_sensor.mode == "reschedule":
        pytest.skip("each poke is a log of its own there")
    create(answers=[*[step("importer_polishing")] * 5, step("importer_done")])
    run_sensor(RocketChatImportSensor, importer_key="csv")
    assert count_of("the step 'importer_polishing', which", caplog, logged) == 1


def test_an_unknown_step_is_never_success(run_sensor, create):
    create(answers=[step("importer_completed")])
    with pytest.raises(AirflowSensorTimeout):
        run_sensor(RocketChatImportSensor, importer_key="csv", timeout=300)


def test_the_rate_limit_is_waited_out(run_sensor, rocketchat_sandbox, create, clock):
    create(answers=[step("importer_done")])
    body = '{"success":false,"error":"Error, too many requests. You must wait 42 seconds before trying again."}'
    rocketchat_sandbox.add_fault({"status": 429, "body": body}, vendor="rocketchat")
    started = clock.now
    run_sensor(RocketChatImportSensor, importer_key="csv")
    assert 42 <= clock.now - started <= 44


def test_the_retry_after_of_each_response_is_normalized_once(run_sensor, by_password, create, monkeypatch):
    normalized = []
    original = RocketChatHook.normalize_retry_after

    def normalize_retry_after(self, response):
        normalized.append(response.request_line)
        return original(self, response)

    monkeypatch.setattr(RocketChatHook, "normalize_retry_after", normalize_retry_after)
    create(answers=[step("importer_importing_users"), step("importer_done")])
    run_sensor(RocketChatImportSensor, importer_key="csv")
    assert [line.rpartition("/")[2] for line in normalized] == ["login", "getImportProgress", "getImportProgress"]


def test_too_many_failed_records_fail_the_task(run_sensor, create):
    create(answers=[step("importer_done", completed=126, error=2)])
    with pytest.raises(ImportFailedError, match="2 failed records where max_failed_records allows 1"):
        run_sensor(RocketChatImportSensor, importer_key="csv", max_failed_records=1)


def test_the_token_of_a_log_in_is_in_no_log_and_no_exception(
    run_sensor, rocketchat_sandbox, by_password, create, logged
):
    create(answers=[step("importer_importing_users")])
    asyncio.run(RocketChatHook().aget_progress(RocketChatImport()))
    ((_, log_in),) = rocketchat_login._log_ins.values()
    body = f'{{"success": false, "error": "{log_in.auth_token} {PASSWORD}", "errorType": "error-odd"}}'
    rocketchat_sandbox.add_fault({"status": 503, "body": body}, vendor="rocketchat", times=2)
    rocketchat_sandbox.add_fault({"status": 400, "body": body}, vendor="rocketchat", times=None)
    with pytest.raises(ImportRequestError, match="HTTP 400") as caught:
        run_sensor(RocketChatImportSensor)
    told = logged() + str(caught.value)
    assert "HTTP 503" in told
    assert log_in.auth_token not in told
    assert PASSWORD not in told


def count_of(words, caplog, logged):
    # Airflow 2 prints what it logs as well.
    return sum(words in record.getMessage() for record in caplog.records) or logged().count(words)
