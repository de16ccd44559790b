# SPDX-License-Identifier: Apache-2.0
"""What Rocket.Chat's answers mean."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from airflow_import_progress import clock
from airflow_import_progress.exceptions import ImportPollError, ImportProtocolError, ImportRequestError
from airflow_import_progress.hooks import rocketchat, rocketchat_login
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Response
from airflow_import_progress.progress import ImportState
from airflow_import_progress.waiting.gate import Decision, Gate

CONNECTION = VendorConnection(
    conn_id="rocketchat_default", base_url="https://chat.example", login="aobEdbYhXfu5hkeqG", password="pat"
)
BY_PASSWORD = VendorConnection(
    conn_id="rocketchat_default",
    base_url="https://chat.example",
    login="importer",
    password="p4ssw0rd",
    extra={"auth_method": "password"},
)
OPERATION_ID = "64d51ea91558939980aab371"
CREATED = "2023-08-10T17:30:17.519Z"
RUNNING = {
    "key": "csv",
    "name": "CSV",
    "step": "importer_importing_users",
    "count": {"completed": 50, "total": 128, "error": 2},
    "success": True,
}
NO_IMPORT_EVER = {
    "success": False,
    "error": "Import Operation Not Found [error-operation-not-found]",
    "errorType": "error-operation-not-found",
    "details": "getImportProgress",
}


def answer_to(request, body, status=200, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(
        status=status,
        headers=headers,
        body=body,
        request_line=f"{request.method} https://chat.example{request.path}",
        secrets=("p4ssw0rd",),
    )


def converse(conversation, *answers):
    """Answer a conversation in turn with (body, status, headers) or bodies; return its requests and its result."""
    requests = []
    request = next(conversation)
    for answer in answers:
        requests.append(request)
        body, status, headers = answer if isinstance(answer, tuple) else (answer, 200, {})
        try:
            # The hook normalizes each response when it is received.
            response = RocketChatHook().normalize_retry_after(answer_to(request, body, status, **headers))
            request = conversation.send(response)
        except StopIteration as end:
            assert len(requests) == len(answers)
            return requests, end.value
    raise AssertionError(f"another request: {request}")


def poll(import_, *answers):
    return converse(import_.poll(CONNECTION), *answers)[1]


def operation(status="importer_importing_users", *, state=None, **fields):
    return {
        **({} if state is None else {"state": state}),
        "operation": {
            "_id": OPERATION_ID,
            "type": "api",
            "importerKey": "api",
            "ts": CREATED,
            "status": status,
            "valid": True,
            "user": "7TY57bBj3xQXvf2i2",
            "_updatedAt": "2023-08-10T17:41:30.052Z",
            "count": {"total": 200, "users": 200, "completed": 50, "error": 0},
            **fields,
        },
        "success": True,
    }


# What is asked


def test_asks_for_the_progress_without_any_query_parameter():
    ((request,), _) = converse(RocketChatImport().poll(CONNECTION), RUNNING)
    assert (request.method, request.path, dict(request.params)) == ("GET", "/api/v1/getImportProgress", {})


def test_follows_an_operation_by_the_status_of_the_import():
    ((request,), _) = converse(RocketChatImport(operation_id=OPERATION_ID).poll(CONNECTION), operation())
    assert (request.method, request.path, dict(request.params)) == ("GET", "/api/v1/import.status", {})


def test_follows_an_operation_on_servers_that_have_no_import_status():
    requests, progress = converse(
        RocketChatImport(operation_id=OPERATION_ID).poll(CONNECTION),
        ({"success": False, "error": "API endpoint not found"}, 404, {}),
        operation(ts=1691688617519),
    )
    assert [request.path for request in requests] == ["/api/v1/import.status", "/api/v1/getCurrentImportOperation"]
    assert progress.state is ImportState.RUNNING
    assert progress.started_at.isoformat() == "2023-08-10T17:30:17.519000+00:00"


@pytest.mark.parametrize(
    "import_",
    [
        RocketChatImport(),
        RocketChatImport(importer_key="csv"),
        RocketChatImport(operation_id=OPERATION_ID),
        RocketChatImport(started_after=CREATED),
    ],
)
def test_never_asks_for_the_file_data_because_that_changes_the_state(import_):
    request = next(import_.poll(CONNECTION))
    assert request.method == "GET"
    assert "getImportFileData" not in request.path


# What a step means


@pytest.mark.parametrize(
    ("step", "state"),
    [
        ("importer_new", ImportState.PENDING),
        ("importer_uploading", ImportState.RUNNING),
        ("importer_downloading_file", ImportState.RUNNING),
        ("importer_file_loaded", ImportState.ACTION_REQUIRED),
        ("importer_preparing_started", ImportState.RUNNING),
        ("importer_preparing_users", ImportState.RUNNING),
        ("importer_preparing_channels", ImportState.RUNNING),
        ("importer_preparing_messages", ImportState.RUNNING),
        ("importer_preparing_contacts", ImportState.RUNNING),
        ("importer_user_selection", ImportState.ACTION_REQUIRED),
        ("importer_importing_started", ImportState.RUNNING),
        ("importer_importing_users", ImportState.RUNNING),
        ("importer_importing_channels", ImportState.RUNNING),
        ("importer_importing_messages", ImportState.RUNNING),
        ("importer_importing_contacts", ImportState.RUNNING),
        ("importer_importing_files", ImportState.RUNNING),
        ("importer_finishing", ImportState.RUNNING),
        ("importer_done", ImportState.SUCCEEDED),
        ("importer_import_failed", ImportState.FAILED),
        ("importer_import_cancelled", ImportState.CANCELLED),
        ("importer_preparing_emoji", ImportState.RUNNING),
        ("importer_importing_emoji", ImportState.RUNNING),
    ],
)
def test_every_step_means_a_state(step, state):
    progress = poll(RocketChatImport(), {**RUNNING, "step": step})
    assert (progress.state, progress.vendor_status, progress.warning) == (state, step, None)


@pytest.mark.parametrize(
    "step", ["importer_completed", "done", "IMPORTER_DONE", "importer_done ", "importer_done_almost"]
)
def test_any_other_step_keeps_waiting_with_a_warning(step):
    progress = poll(RocketChatImport(), {**RUNNING, "step": step})
    assert progress.state is ImportState.RUNNING
    assert repr(step) in progress.warning


@pytest.mark.parametrize(
    "answer",
    [
        {**RUNNING, "step": None},
        {**RUNNING, "step": 18},
        {**RUNNING, "step": ""},
        {**RUNNING, "success": False},
        {**RUNNING, "success": None},
        {**RUNNING, "count": [50, 128]},
        {"success": True},
        [RUNNING],
        "importer_done",
        None,
    ],
)
def test_an_answer_that_is_not_as_promised_is_no_progress(answer):
    with pytest.raises(ImportProtocolError, match=r"Rocket\.Chat's API promises"):
        poll(RocketChatImport(), answer)


# What the counts mean


def test_failed_records_are_processed_ones():
    progress = poll(RocketChatImport(), RUNNING)
    assert (progress.processed, progress.failed, progress.total) == (52, 2, 128)
    assert progress.percent == pytest.approx(100 * 52 / 128)


def test_servers_that_count_no_errors_are_understood():
    progress = poll(RocketChatImport(), {**RUNNING, "count": {"completed": 50, "total": 128}})
    assert (progress.processed, progress.failed, progress.percent) == (50, None, pytest.approx(39.0625))


def test_numbers_and_booleans_as_strings_are_read():
    progress = poll(
        RocketChatImport(),
        {
            "key": "pending-avatars",
            "name": "Pending Avatars",
            "step": "importer_user_selection",
            "count": {"completed": "0", "total": "20"},
            "success": "true",
        },
    )
    assert (progress.state, progress.processed, progress.total) == (ImportState.ACTION_REQUIRED, 0, 20)


@pytest.mark.parametrize("count", [{"completed": 0, "total": 0}, {}, None, {"completed": "many", "total": -1}])
def test_unusable_counts_make_the_percentage_unknown(count):
    progress = poll(RocketChatImport(), {**RUNNING, "count": count})
    assert (progress.state, progress.percent, progress.total) == (ImportState.RUNNING, None, None)


def test_more_completed_than_total_is_clamped_and_completes_nothing():
    progress = poll(RocketChatImport(), {**RUNNING, "count": {"completed": 256, "total": 128, "error": 0}})
    assert (progress.state, progress.percent, progress.processed) == (ImportState.RUNNING, 100.0, 128)


@pytest.mark.parametrize("count", [{"completed": 90, "total": 128, "error": 0}, {"completed": 0, "total": 0}])
def test_done_is_done_whatever_the_counts_say(count):
    progress = poll(RocketChatImport(), {**RUNNING, "step": "importer_done", "count": count})
    assert (progress.state, progress.percent) == (ImportState.SUCCEEDED, 100.0)


# Whose import it is


def test_an_import_without_identification_has_a_warning():
    assert "trusts the import that the workspace reports" in RocketChatImport().warning_before_start


@pytest.mark.parametrize(
    "fields", [{"operation_id": OPERATION_ID}, {"importer_key": "csv"}, {"started_after": "2023-08-10"}]
)
def test_an_import_with_an_identification_has_no_warning(fields):
    assert RocketChatImport(**fields).warning_before_start is None


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({}, "last Rocket.Chat import (connection 'c')"),
        ({"importer_key": "csv"}, "last Rocket.Chat import of 'csv' (connection 'c')"),
        ({"operation_id": "64d5", "importer_key": "csv"}, "Rocket.Chat import '64d5' (connection 'c')"),
    ],
)
def test_messages_name_what_is_known_of_the_import(fields, subject):
    assert RocketChatImport(**fields).describe("c") == subject


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"importer_key": "csv"},
        {"operation_id": OPERATION_ID},
        {"operation_id": "another"},
        {"started_after": "2020-01-01"},
        {"started_after": "2030-01-01"},
    ],
)
def test_the_progress_is_that_of_the_import_that_was_asked_for(fields):
    import_ = RocketChatImport(**fields)
    by_operation = "operation_id" in fields or "started_after" in fields
    assert poll(import_, operation() if by_operation else RUNNING).import_id == import_.import_id


@pytest.mark.parametrize("status", ["importer_importing_users", "importer_done", "importer_import_failed"])
def test_an_operation_that_another_one_replaced_has_failed_as_superseded(status):
    import_ = RocketChatImport(operation_id="ours")
    progress = poll(import_, operation(status, importerKey="slack"))
    assert progress.state is ImportState.FAILED
    assert progress.message.startswith(f"superseded by the import '{OPERATION_ID}' (slack, created at 2023-08-10")


def test_an_operation_that_one_without_a_time_replaced_has_failed_as_superseded():
    progress = poll(RocketChatImport(operation_id="ours"), operation("importer_done", importerKey="slack", ts=None))
    assert progress.message.startswith(f"superseded by the import '{OPERATION_ID}' (slack), so its outcome is unknown")


def test_the_words_for_a_superseded_import_are_no_status_of_the_other_one():
    progress = poll(RocketChatImport(operation_id="ours"), operation("importer_done"))
    verdict = Gate().judge(progress)
    assert verdict.decision is Decision.FAIL
    assert verdict.reason.startswith("cannot pass: superseded by")


@pytest.mark.parametrize("step", ["importer_done", "importer_importing_users", "importer_user_selection"])
def test_an_import_of_another_importer_is_refused(step):
    progress = poll(RocketChatImport(importer_key="slack"), {**RUNNING, "step": step})
    assert progress.state is ImportState.FAILED
    assert "is one of 'csv'" in progress.message


def test_a_missing_importer_key_is_not_taken_for_the_right_one():
    answer = {name: value for name, value in RUNNING.items() if name != "key"}
    assert poll(RocketChatImport(importer_key="csv"), {**answer, "step": "importer_done"}).state is ImportState.FAILED


def test_an_import_of_the_right_importer_is_done():
    progress = poll(RocketChatImport(importer_key="csv"), {**RUNNING, "step": "importer_done"})
    assert progress.state is ImportState.SUCCEEDED


@pytest.mark.parametrize(
    ("started_after", "state"),
    [
        ("2023-08-10T17:30:17.519+00:00", ImportState.SUCCEEDED),
        ("2023-08-10T19:30:17+02:00", ImportState.SUCCEEDED),
        ("2023-08-10", ImportState.SUCCEEDED),
        ("2023-08-10T17:30:17.520Z", ImportState.FAILED),
        ("9999-12-31T23:59:59.999999Z", ImportState.FAILED),
        ("2023-08-10T17:30:18", ImportState.FAILED),
    ],
)
def test_a_stale_done_is_refused(started_after, state):
    progress = poll(RocketChatImport(started_after=started_after), operation("importer_done", state="done"))
    assert progress.state is state


def test_the_refusal_of_a_stale_import_names_both_times():
    progress = poll(RocketChatImport(started_after="2026-01-01"), operation("importer_done", state="done"))
    assert "created at 2023-08-10 17:30:17.519000+00:00" in progress.message
    assert "started_after (2026-01-01T00:00:00+00:00)" in progress.message


@pytest.mark.parametrize("ts", ["soon", "now", "Friday", None])
def test_an_operation_without_a_valid_time_is_a_protocol_error(ts):
    with pytest.raises(ImportProtocolError, match='"ts"'):
        poll(RocketChatImport(started_after="2020-01-01"), operation("importer_done", ts=ts))


@pytest.mark.parametrize("ts", ["soon", None])
def test_an_operation_with_the_right_id_needs_no_age(ts):
    progress = poll(RocketChatImport(operation_id=OPERATION_ID), operation("importer_done", ts=ts))
    assert (progress.state, progress.started_at) == (ImportState.SUCCEEDED, None)


@pytest.mark.parametrize("operation_id", [None, "", 5])
def test_an_operation_without_an_id_is_a_protocol_error(operation_id):
    with pytest.raises(ImportProtocolError, match='"_id"'):
        poll(RocketChatImport(operation_id="ours"), operation("importer_done", _id=operation_id))


def test_a_state_without_its_operation_is_a_protocol_error():
    with pytest.raises(ImportProtocolError, match='under "operation"'):
        poll(RocketChatImport(operation_id="ours"), {"state": "importing", "success": True})


def test_an_operation_that_is_not_an_object_is_a_protocol_error():
    with pytest.raises(ImportProtocolError, match='under "operation"'):
        poll(RocketChatImport(operation_id="ours"), {"state": "done", "operation": "done", "success": True})


# Imports that died


@pytest.mark.parametrize(
    "status", ["importer_new", "importer_importing_users", "importer_user_selection", "importer_odd"]
)
@pytest.mark.parametrize("dead", [{"valid": False}, {"state": "error"}, {"valid": "false"}])
def test_an_import_that_died_in_a_restart_of_the_server_has_failed(status, dead):
    progress = poll(RocketChatImport(operation_id=OPERATION_ID), operation(status, **dead))
    assert progress.state is ImportState.FAILED
    assert "the server was restarted" in progress.message
    assert progress.vendor_status == status


def test_a_cancelled_import_stays_cancelled_after_a_restart():
    answer = operation("importer_import_cancelled", state="error", valid=False)
    assert poll(RocketChatImport(operation_id=OPERATION_ID), answer).state is ImportState.CANCELLED


def test_a_done_import_stays_done_after_a_restart_and_says_what_else_that_may_be():
    progress = poll(RocketChatImport(operation_id=OPERATION_ID), operation("importer_done", state="done", valid=False))
    assert progress.state is ImportState.SUCCEEDED
    assert "cleared while it ran" in progress.warning


def test_a_done_import_that_is_valid_says_nothing_more():
    progress = poll(RocketChatImport(operation_id=OPERATION_ID), operation("importer_done", state="done"))
    assert (progress.state, progress.warning) == (ImportState.SUCCEEDED, None)


def test_a_done_import_in_another_state_is_no_success():
    with pytest.raises(ImportProtocolError, match='the state "done"'):
        poll(RocketChatImport(operation_id=OPERATION_ID), operation("importer_done", state="importing"))


# No import ever


@pytest.mark.parametrize(
    ("import_", "answer"),
    [
        (RocketChatImport(), (NO_IMPORT_EVER, 400, {})),
        (RocketChatImport(), ({"success": False, "error": "error-operation-not-found"}, 400, {})),
        (RocketChatImport(operation_id="ours"), {"state": "none", "success": True}),
        (RocketChatImport(started_after="2020-01-01"), {"success": True}),
    ],
)
def test_no_import_ever_is_a_clear_error(import_, answer):
    with pytest.raises(ImportRequestError, match="this workspace has never had an import") as caught:
        poll(import_, answer)
    assert not caught.value.transient


def test_a_server_error_is_not_taken_for_it():
    with pytest.raises(ImportPollError) as caught:
        poll(RocketChatImport(), (NO_IMPORT_EVER, 500, {}))
    assert caught.value.transient


@pytest.mark.parametrize("body", [["error-operation-not-found"], "error-operation-not-found", b"<html>"])
def test_an_odd_bad_request_is_not_taken_for_it(body):
    with pytest.raises(ImportRequestError, match="HTTP 400"):
        poll(RocketChatImport(), (body, 400, {}))


def test_another_bad_request_is_not_taken_for_it():
    with pytest.raises(ImportRequestError, match="no import class defined"):
        poll(
            RocketChatImport(),
            (
                {
                    "success": False,
                    "error": "The importer (hipchat) has no import class defined. [error-importer-not-defined]",
                    "errorType": "error-importer-not-defined",
                },
                400,
                {},
            ),
        )


@pytest.mark.parametrize("import_", [RocketChatImport(), RocketChatImport(operation_id="64d5")])
def test_a_bad_request_without_a_type_is_trouble_of_the_servers_own_and_may_pass(import_):
    body = {"success": False, "error": "Server selection timed out after 30000 ms"}
    with pytest.raises(ImportPollError, match="Server selection timed out after 30000 ms") as caught:
        poll(import_, (body, 400, {}))
    assert caught.value.transient
    assert not caught.value.rate_limited


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"status": "error", "message": "Server selection timed out after 30000 ms"}),
        (400, {"success": False, "error": "connect ECONNREFUSED 10.0.0.7:27017"}),
    ],
)
def test_a_log_in_that_fails_because_the_database_is_away_may_pass(status, body):
    with pytest.raises(ImportPollError) as caught:
        ask(BY_PASSWORD, (body, status, {}))
    assert caught.value.transient


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "error": "error-invalid-operation-status"},
        {
            "success": False,
            "error": "must NOT have additional properties [invalid-params]",
            "errorType": "invalid-params",
        },
        {"message": "no answer of Rocket.Chat"},
        ["no answer of Rocket.Chat"],
    ],
)
def test_a_bad_request_that_says_what_is_refused_is_final(body):
    with pytest.raises(ImportRequestError, match="HTTP 400"):
        poll(RocketChatImport(), (body, 400, {}))


# The arguments


@pytest.mark.parametrize("name", ["operation_id", "importer_key", "started_after"])
@pytest.mark.parametrize("value", ["", "None", "{{ ti.xcom_pull('upload') }}", {"_id": "64d5"}])
def test_an_argument_that_identifies_nothing_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        RocketChatImport(**{name: value})


@pytest.mark.parametrize(
    "value", ["yesterday", "17/02/2026", "21:54", date(2026, 2, 17), ["2026-02-17"] * 1000, "0001-01-01T00:00:00+14:00"]
)
def test_a_time_that_is_not_iso_8601_is_refused(value):
    with pytest.raises(ValueError, match=r"started_after must be a time as ISO 8601.*upstream task") as caught:
        RocketChatImport(started_after=value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-17T21:54:09Z",
        "2026-02-17 21:54:09+00:00",
        "2026-02-17T22:54:09+01:00",
        "2026-02-17T21:54:09",
        datetime(2026, 2, 17, 21, 54, 9, tzinfo=UTC),
        datetime(2026, 2, 17, 21, 54, 9),
        datetime(2026, 2, 17, 22, 54, 9, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_a_time_is_kept_as_json_in_utc(value):
    assert RocketChatImport(started_after=value).to_dict()["started_after"] == "2026-02-17T21:54:09+00:00"


def test_is_made_again_from_what_a_trigger_stores():
    import_ = RocketChatImport(operation_id="64d5", importer_key="csv", started_after="2026-02-17")
    assert RocketChatImport(**json.loads(json.dumps(import_.to_dict()))) == import_


# The log-in


LOGGED_IN = {"status": "success", "data": {"authToken": "fresh-token", "userId": "u1"}, "success": True}
UNAUTHORIZED = ({"success": False, "status": "error", "message": "You must be logged in to do this."}, 401, {})


@pytest.fixture(autouse=True)
def _no_log_ins(monkeypatch):
    monkeypatch.setattr(rocketchat_login, "_log_ins", {})


def ask(connection, *answers, path="/api/v1/me"):
    request = rocketchat.Request(method="GET", path=path)
    return converse(RocketChatHook().send_authenticated(request, connection), *answers)


def test_a_token_is_sent_with_its_user_id():
    ((request,), _) = ask(CONNECTION, {})
    assert request.headers == {"X-User-Id": "aobEdbYhXfu5hkeqG", "X-Auth-Token": "pat"}


def test_a_refused_token_is_not_tried_again():
    (requests, response) = ask(CONNECTION, UNAUTHORIZED)
    assert (len(requests), response.status) == (1, 401)


def test_a_password_logs_in_once_for_all_requests():
    (requests, _) = ask(BY_PASSWORD, LOGGED_IN, {})
    assert [(r.method, r.path) for r in requests] == [("POST", "/api/v1/login"), ("GET", "/api/v1/me")]
    assert requests[0].json == {"user": "importer", "password": "p4ssw0rd"}
    assert requests[1].headers == {"X-User-Id": "u1", "X-Auth-Token": "fresh-token"}
    ((request,), _) = ask(BY_PASSWORD, {})
    assert request.headers["X-Auth-Token"] == "fresh-token"


def test_logs_in_again_once_after_a_401():
    ask(BY_PASSWORD, LOGGED_IN, {})
    second = {**LOGGED_IN, "data": {"authToken": "second-token", "userId": "u1"}}
    (requests, response) = ask(BY_PASSWORD, UNAUTHORIZED, second, UNAUTHORIZED)
    assert [r.path for r in requests] == ["/api/v1/me", "/api/v1/login", "/api/v1/me"]
    assert requests[2].headers["X-Auth-Token"] == "second-token"
    assert response.status == 401


def test_uses_the_token_of_another_wait_that_has_logged_in_meanwhile():
    ask(BY_PASSWORD, LOGGED_IN, {})
    conversation = RocketChatHook().send_authenticated(rocketchat.Request(method="GET", path="/api/v1/me"), BY_PASSWORD)
    request = next(conversation)
    second = {**LOGGED_IN, "data": {"authToken": "second-token", "userId": "u1"}}
    ask(BY_PASSWORD, UNAUTHORIZED, second, {})
    request = conversation.send(answer_to(request, *UNAUTHORIZED[:2]))
    assert (request.path, request.headers["X-Auth-Token"]) == ("/api/v1/me", "second-token")


def test_a_log_in_outlives_a_request_that_got_no_answer():
    conversation = RocketChatHook().send_authenticated(rocketchat.Request(method="GET", path="/api/v1/me"), BY_PASSWORD)
    conversation.send(answer_to(next(conversation), LOGGED_IN))
    conversation.close()
    ((request,), _) = ask(BY_PASSWORD, {})
    assert request.headers["X-Auth-Token"] == "fresh-token"


def test_a_late_answer_to_an_old_token_does_not_displace_a_newer_log_in():
    ask(BY_PASSWORD, LOGGED_IN, {})
    late = RocketChatHook().send_authenticated(rocketchat.Request(method="GET", path="/api/v1/me"), BY_PASSWORD)
    request = next(late)
    second = {**LOGGED_IN, "data": {"authToken": "second-token", "userId": "u1"}}
    ask(BY_PASSWORD, UNAUTHORIZED, second, {})
    with pytest.raises(StopIteration):
        late.send(answer_to(request, {}))
    ((request,), _) = ask(BY_PASSWORD, {})
    assert request.headers["X-Auth-Token"] == "second-token"


def test_another_password_logs_in_anew():
    ask(BY_PASSWORD, LOGGED_IN, {})
    rotated = replace(BY_PASSWORD, password="another")
    (requests, _) = ask(rotated, LOGGED_IN, {})
    assert requests[0].path == "/api/v1/login"


def test_a_two_factor_demand_recommends_a_token():
    demand = {"success": False, "status": "error", "error": "totp-required", "message": "TOTP Required"}
    with pytest.raises(ImportRequestError, match=r"two-factor code.*personal access token") as caught:
        ask(BY_PASSWORD, (demand, 401, {}))
    assert not caught.value.transient


def test_a_wrong_password_is_refused_without_telling_it():
    refusal = {"success": False, "status": "error", "error": "Unauthorized", "message": "p4ssw0rd is wrong"}
    with pytest.raises(ImportRequestError, match="refused the user name or password") as caught:
        ask(BY_PASSWORD, (refusal, 401, {}))
    assert caught.value.status == 401
    assert "p4ssw0rd" not in str(caught.value)


@pytest.mark.parametrize("body", [[], "Unauthorized", b"<html>"])
def test_a_log_in_that_a_proxy_refuses_is_refused(body):
    with pytest.raises(ImportRequestError, match="HTTP 401") as caught:
        ask(BY_PASSWORD, (body, 401, {}))
    assert caught.value.status == 401


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": None},
        [],
        {"data": {"authToken": "t"}},
        {"data": {"authToken": 7, "userId": "u"}},
        {"data": {"authToken": "a\r\nb", "userId": "u"}},
    ],
)
def test_a_log_in_without_a_token_is_no_log_in(answer):
    with pytest.raises(ImportProtocolError, match="without the user id and token"):
        ask(BY_PASSWORD, answer)


@pytest.mark.parametrize(
    "body",
    [b'{"data": {"userId": "u1", "authToken": "fresh-token"', b"<html>"],
)
def test_a_log_in_that_is_not_json_is_tried_again_and_never_quoted(body):
    with pytest.raises(ImportProtocolError, match="without the user id and token") as caught:
        ask(BY_PASSWORD, (body, 200, {}))
    assert caught.value.transient
    assert "fresh" not in str(caught.value)


def test_a_server_that_is_down_at_the_log_in_is_asked_again_later():
    with pytest.raises(ImportPollError) as caught:
        ask(BY_PASSWORD, ({}, 503, {}))
    assert caught.value.transient


def test_the_token_of_a_log_in_is_taken_out_of_texts():
    (_, response) = ask(BY_PASSWORD, LOGGED_IN, {"message": "bad fresh-token"})
    assert "fresh-token" not in response.error_text()


# The rate limit

TOO_MANY = {
    "success": False,
    "error": "Error, too many requests. Please slow down. You must wait 42 seconds before trying this endpoint again. "
    "[error-too-many-requests]",
}


def test_a_rate_limit_is_read_for_those_who_log_in_too():
    (_, response) = ask(BY_PASSWORD, LOGGED_IN, (TOO_MANY, 429, {}))
    assert response.retry_after == 42


def test_only_a_429_is_read_as_a_rate_limit():
    (_, response) = ask(CONNECTION, (TOO_MANY, 503, {}))
    assert response.retry_after is None


def test_waits_as_long_as_the_words_of_the_rate_limit_say():
    (_, response) = ask(CONNECTION, (TOO_MANY, 429, {"x-ratelimit-reset": "1760000042000"}))
    assert response.retry_after == 42


def test_the_reset_of_the_rate_limit_is_in_milliseconds(monkeypatch):
    monkeypatch.setattr(clock.current, "time", lambda: 1760000012.0)
    (_, response) = ask(CONNECTION, ({"success": False}, 429, {"x-ratelimit-reset": "1760000042000"}))
    assert response.retry_after == 30


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-reset": "soon"}, {"x-ratelimit-reset": "1760000042000"}])
def test_a_rate_limit_without_a_usable_time_has_no_retry_after(headers):
    (_, response) = ask(CONNECTION, ({"success": False}, 429, headers))
    assert response.retry_after is None


def test_a_retry_after_of_a_proxy_wins():
    (_, response) = ask(CONNECTION, (TOO_MANY, 429, {"retry-after": "7"}))
    assert response.retry_after == 7


def test_a_rate_limit_at_the_log_in_says_how_long_to_wait():
    with pytest.raises(ImportPollError) as caught:
        ask(BY_PASSWORD, (TOO_MANY, 429, {}))
    assert (caught.value.transient, caught.value.retry_after) == (True, 42)


# The connection


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"login": ""}, "no login. Enter the user id"),
        ({"password": ""}, "no password. Enter the personal access token"),
        ({"login": "", "extra": {"auth_method": "password"}}, "no login. Enter the user name"),
        ({"password": "", "extra": {"auth_method": "password"}}, "no password. Enter the password"),
        ({"extra": {"auth_method": "oauth"}}, "'auth_method' must be 'token' .* or 'password', not 'oauth'"),
        ({"login": "jürgen"}, "login has characters"),
        ({"password": "a\nb"}, "password has characters"),
    ],
)
def test_a_connection_that_cannot_work_is_refused(fields, words):
    with pytest.raises(ImportRequestError, match=words):
        RocketChatHook().validate_connection(replace(CONNECTION, **fields))


@pytest.mark.parametrize("extra", [{}, {"auth_method": None}, {"auth_method": ""}, {"auth_method": "token"}])
def test_a_token_is_what_a_connection_has_unless_it_says_otherwise(extra):
    RocketChatHook().validate_connection(replace(CONNECTION, extra=extra))


def test_a_password_may_have_any_characters():
    RocketChatHook().validate_connection(replace(BY_PASSWORD, login="jürgen", password="pä ß"))
