# SPDX-License-Identifier: Apache-2.0
"""The conversations that start imports into Rocket.Chat, and which operation is that of a start."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_import_progress import clock
from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportPollError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks import rocketchat_operation, rocketchat_start
from airflow_import_progress.hooks.rocketchat import RocketChatHook
from airflow_import_progress.hooks.rocketchat_import import RocketChatImport, RocketChatUserImport
from airflow_import_progress.hooks.rocketchat_operation import Reported, parse_operation, read_operation
from airflow_import_progress.http.exchange import Response
from airflow_import_progress.operators.rocketchat import (
    RocketChatFileImportOperator,
    RocketChatPendingFilesImportOperator,
    RocketChatUserImportOperator,
)
from airflow_import_progress.progress import ImportState
from airflow_import_progress.starting.record import StartRecord, StartState
from airflow_import_progress.vendor import ImportNotFoundError
from tests.support import rocketchat_requests

CREATED = datetime(2026, 2, 17, 21, 54, 9, tzinfo=UTC)
OK = {"success": True}
NO_IMPORT_EVER = {"success": False, "errorType": "error-operation-not-found"}
INVALID = {"success": False, "error": "must be array [invalid-params]", "errorType": "invalid-params"}
FREE = Reported(None)


def response_to(request, body, status=200, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    line = f"{request.method} https://chat.example{request.path}"
    return Response(status=status, headers=headers, body=body, request_line=line)


def converse(conversation, *answers):
    """Answer a conversation in turn with bodies or (body, status); return its requests and its result."""
    requests = [next(conversation)]
    for answer in answers:
        body, status = answer if isinstance(answer, tuple) else (answer, 200)
        try:
            requests.append(conversation.send(response_to(requests[-1], body, status)))
        except StopIteration as end:
            assert len(requests) == len(answers)
            return requests, end.value
    raise AssertionError(f"another request: {requests[-1]}")


def document(**fields):
    return {
        "_id": "64d5",
        "type": "CSV",
        "importerKey": "csv",
        "ts": CREATED.isoformat(),
        "status": "importer_file_loaded",
        "valid": True,
        "user": "me",
        **fields,
    }


def reported(**fields):
    return {"state": "ready", "operation": document(**fields), "success": True}


def an_operation(**fields):
    return converse(read_operation(), reported(**fields))[1].operation


def content(request):
    return json.loads(whole(request.data.open())) if request.data else request.json


def whole(stream):
    chunks = []
    while chunk := stream.read(100_000):
        chunks.append(chunk)
    return b"".join(chunks)


# The operation


@pytest.mark.parametrize("answer", [{"state": "none", "success": True}, {"success": True}, (NO_IMPORT_EVER, 400)])
def test_a_workspace_may_never_have_had_an_import(answer):
    assert converse(read_operation(), answer)[1].operation is None


def test_a_server_before_6_3_is_asked_otherwise():
    requests, result = converse(read_operation(), ({}, 404), {"operation": document(ts=1_700_000_000_000), **OK})
    assert [request.path for request in requests] == [
        rocketchat_operation.STATUS_PATH,
        rocketchat_operation.CURRENT_OPERATION_PATH,
    ]
    assert result.operation.created_at.timestamp() == 1_700_000_000


@pytest.mark.parametrize("operation", [None, "64d5", {}, {"_id": "64d5"}, {"status": "importer_new"}])
def test_an_operation_that_cannot_be_read_is_an_error(operation):
    with pytest.raises(ImportProtocolError):
        converse(read_operation(), {"state": "ready", "operation": operation, "success": True})


def test_the_difference_of_the_clocks_comes_from_the_servers_date(monkeypatch):
    monkeypatch.setattr(clock.current, "time", lambda: CREATED.timestamp() - 3600)
    conversation = read_operation()
    date = CREATED.strftime("%a, %d %b %Y %H:%M:%S GMT")
    with pytest.raises(StopIteration) as end:
        conversation.send(response_to(next(conversation), reported(), date=date))
    assert end.value.value.clock_ahead == 3600


@pytest.mark.parametrize(
    ("status", "is_valid", "is_over"),
    [
        ("importer_done", True, True),
        ("importer_import_failed", True, True),
        ("importer_import_cancelled", True, True),
        ("importer_importing_users", True, False),
        ("importer_importing_users", False, True),
        ("importer_user_selection", True, False),
        ("importer_user_selection", False, True),
        ("importer_of_the_future", True, False),
    ],
)
def test_a_new_operation_may_follow_only_one_that_is_over(status, is_valid, is_over):
    operation = an_operation(status=status, valid=is_valid)
    assert operation.is_over is is_over
    if is_over:
        rocketchat_start.check_free(Reported(operation))
    else:
        with pytest.raises(ImportRequestError, match=r"'64d5' \(csv\), which the user 'me' created at 2026-02-17"):
            rocketchat_start.check_free(Reported(operation))


# Starts


def test_a_file_is_uploaded_with_its_type_under_a_name_that_occurs_once():
    name = rocketchat_start.unique_name(rocketchat_start.ImportFile(b"a,b\n"))
    assert name != rocketchat_start.unique_name(rocketchat_start.ImportFile(b"a,b\n"))
    upload = rocketchat_start.file_upload(b"a,b\n", "csv", name=name, before=FREE)
    requests, operation_id = converse(upload, OK, reported(file=f"20261_me_{name}"))
    body = json.loads(whole(requests[0].data.open()))
    assert base64.b64decode(body.pop("binaryContent")) == b"a,b\n"
    assert body == {"contentType": "text/csv", "fileName": name, "importerKey": "csv"}
    assert operation_id == "64d5"


def test_a_long_name_keeps_its_end(tmp_path):
    file = tmp_path / f"{'x' * 200}.zip"
    file.write_bytes(b"a")
    name = rocketchat_start.unique_name(rocketchat_start.ImportFile(file))
    assert (len(name), name[-6:]) == (57, "xx.zip")


@pytest.mark.parametrize(
    "found",
    [
        {"_id": "before", "file": "1_me_export.zip"},
        {"importerKey": "slack", "file": "1_me_export.zip"},
        {"file": "1_me_another.zip"},
        {"file": None},
    ],
)
def test_an_operation_that_is_not_the_new_one_is_not_taken_for_it(found):
    before = Reported(parse_operation(document(_id="before", status="importer_done"), FakeResponse()))
    download = rocketchat_start.file_download("https://x.example/export.zip", "csv", before=before)
    with pytest.raises(ImportFailedError, match="accepted the import, but now reports"):
        converse(download, OK, reported(**found))


class FakeResponse:
    """A response of which only names are read."""

    def name(self, text):
        return text


def test_a_start_that_is_refused_because_of_too_many_requests_was_not_processed():
    start = rocketchat_start.pending_files_import("files", before=FREE)
    with pytest.raises(ImportPollError) as raised:
        converse(start, ({"success": False, "error": "too many"}, 429))
    assert raised.value.not_sent


@pytest.mark.parametrize("status", [408, 500, 502, 503])
def test_after_any_other_error_that_passes_the_start_is_unknown(status):
    start = rocketchat_start.pending_files_import("files", before=FREE)
    with pytest.raises(ImportPollError) as raised:
        converse(start, ({}, status))
    assert not raised.value.not_sent


def test_a_selection_is_all_or_a_list():
    selections = {"users": "all", "channels": ["c1"], "contacts": []}
    ((request,), _) = converse(rocketchat_start.prepared_start(selections), OK)
    assert content(request) == {
        "input": {
            "users": {"all": True, "list": []},
            "channels": {"all": False, "list": ["c1"]},
            "contacts": {"all": False, "list": []},
        }
    }


def test_a_server_before_7_0_gets_all_records_and_which_of_them_to_import():
    data = {
        "users": [{"user_id": "u1", "is_bot": False, "do_import": True}],
        "channels": [{"channel_id": "c1", "do_import": True}, {"channel_id": "c2", "do_import": True}],
        "success": True,
    }
    selections = {"users": "all", "channels": ["c2"], "contacts": "all"}
    requests, _ = converse(rocketchat_start.prepared_start(selections), (INVALID, 400), data, OK)
    assert content(requests[-1]) == {
        "input": {
            "users": [{"user_id": "u1", "is_bot": False, "do_import": True}],
            "channels": [{"channel_id": "c1", "do_import": False}, {"channel_id": "c2", "do_import": True}],
            "contacts": [],
        }
    }


def test_another_refusal_of_the_selection_is_not_answered_with_another_request():
    with pytest.raises(ImportRequestError, match="gone"):
        converse(
            rocketchat_start.prepared_start({}),
            ({"success": False, "error": "gone", "errorType": "error-importer-not-defined"}, 400),
        )


@pytest.mark.parametrize(
    "reason",
    [
        "Users are missing required data.",
        "One or more of the users have been assigned invalid roles.",
        "The current import operation can not receive new data.",
        "The current import operation is already finished.",
        "Import operation not initialized.",
    ],
)
def test_a_refusal_of_users_is_not_taken_for_a_fault_of_the_server(reason):
    with pytest.raises(ImportRequestError) as raised:
        converse(rocketchat_start.more_users([{}]), ({"success": False, "error": reason}, 400))
    assert raised.value.status == 400


def test_a_fault_of_the_server_is_transient():
    with pytest.raises(ImportPollError):
        converse(rocketchat_start.more_users([{}]), ({"success": False, "error": "connection closed"}, 400))


@pytest.mark.parametrize(
    "fields",
    [
        {"_id": "another"},
        {"status": "importer_new"},
        {"status": "importer_importing_users"},
        {"valid": False},
        {"count": {"users": 8}},
        {"count": {"users": 6}},
        {"count": None},
    ],
)
def test_an_operation_is_run_only_with_exactly_the_users_that_were_added(fields):
    right = {"status": "importer_user_selection", "count": {"total": 7, "users": 7}}
    rocketchat_start.check_staged(an_operation(**right), "64d5", 7)
    with pytest.raises(ImportFailedError, match="no user was imported"):
        rocketchat_start.check_staged(an_operation(**{**right, **fields}), "64d5", 7)


@pytest.mark.parametrize(
    ("import_class", "fields", "state"),
    [
        (RocketChatImport, {}, ImportState.PENDING),
        (RocketChatUserImport, {}, ImportState.ACTION_REQUIRED),
        (RocketChatUserImport, {"valid": False}, ImportState.FAILED),
        (RocketChatUserImport, {"_id": "another"}, ImportState.FAILED),
    ],
)
def test_a_new_operation_waits_for_the_operator_that_created_it(import_class, fields, state):
    import_ = import_class(operation_id="64d5", importer_key="api")
    _, progress = converse(import_.poll(None), reported(importerKey="api", status="importer_new", **fields))
    assert progress.state is state


STARTS = {
    "upload": lambda: rocketchat_start.file_upload(b"a;b\n", "csv", name="1-a.csv", before=FREE),
    "download": lambda: rocketchat_start.file_download("https://files.example/a.zip", "slack", before=FREE),
    "selection": lambda: rocketchat_start.prepared_start(rocketchat_requests.SELECTED),
    "users": lambda: rocketchat_start.more_users([rocketchat_requests.USER]),
    "pending files": lambda: rocketchat_start.pending_files_import("files", before=FREE),
    "pending avatars": lambda: rocketchat_start.pending_files_import("avatars", before=FREE),
}


@pytest.mark.parametrize("case", rocketchat_requests.START_REQUESTS)
def test_what_is_sent_is_what_the_vendors_validators_are_given(case):
    request = next(STARTS[case]())
    assert (request.path.removeprefix("/api/v1/"), content(request)) == rocketchat_requests.START_REQUESTS[case]


# The operation of a start

RECORD = StartRecord(
    state=StartState.STARTING,
    sent_at=CREATED.timestamp() - 1,
    digest="",
    max_tries=0,
    notes={"operation_before": "before", "clock_ahead": 0.0, "file_name": "a-people.zip"},
)
OURS = {"file": "20261_me_a-people.zip"}


class AnsweringHook(RocketChatHook):
    """A hook whose workspace reports the same operation at each request."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def run(self, conversation):
        return converse(conversation, self.answer)[1]

    def user_id(self):
        return "me"


def find(operator, record, **fields):
    return operator.find_import(AnsweringHook(reported(**fields)), record)


@pytest.fixture
def file_operator():
    return RocketChatFileImportOperator(task_id="t", file=b"a", importer_key="csv")


def test_the_operation_with_the_name_of_the_upload_is_found(file_operator):
    assert find(file_operator, RECORD, **OURS) == RocketChatImport(operation_id="64d5", importer_key="csv")


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "20261_me_b-people.zip"},
        {"file": None},
        {"importerKey": "slack"},
        {"user": "somebody-else"},
        {"user": None},
        {"ts": (CREATED - timedelta(seconds=7)).isoformat()},
        {"ts": None},
    ],
)
def test_an_operation_that_may_be_anothers_is_not_found(file_operator, fields):
    assert find(file_operator, RECORD, **{**OURS, **fields}) is None


def test_the_time_of_the_start_is_compared_by_the_servers_clock(file_operator):
    ahead = replace(RECORD, notes={**RECORD.notes, "clock_ahead": 3600.0})
    assert find(file_operator, ahead, **OURS) is None
    behind = replace(RECORD, sent_at=RECORD.sent_at + 3600, notes={**RECORD.notes, "clock_ahead": -3600.0})
    assert find(file_operator, behind, **OURS) is not None


@pytest.mark.parametrize(
    ("notes", "fields"),
    [({}, OURS), (RECORD.notes, {"_id": "before"})],
    ids=["nothing was sent", "nothing was created"],
)
def test_certainly_nothing_was_started(file_operator, notes, fields):
    with pytest.raises(ImportNotFoundError):
        find(file_operator, replace(RECORD, notes=notes), **fields)


def test_a_workspace_without_any_import_has_not_started_one(file_operator):
    record = replace(RECORD, notes={**RECORD.notes, "operation_before": None})
    with pytest.raises(ImportNotFoundError):
        file_operator.find_import(AnsweringHook({"state": "none", "success": True}), record)


@pytest.mark.parametrize("fields", [{"status": "importer_user_selection"}, {"valid": False}, {"user": "somebody-else"}])
def test_an_operation_with_users_that_others_added_is_not_taken(fields):
    operator = RocketChatUserImportOperator(task_id="t", users=[])
    record = replace(RECORD, notes={"operation_before": None, "clock_ahead": 0.0})
    new = {"importerKey": "api", "status": "importer_new"}
    assert find(operator, record, **new) == RocketChatUserImport(operation_id="64d5", importer_key="api")
    with pytest.raises(ImportNotFoundError):
        find(operator, record, **{**new, **fields})


def test_pending_files_are_found_by_their_importer():
    operator = RocketChatPendingFilesImportOperator(task_id="t", kind="avatars")
    record = replace(RECORD, notes={"operation_before": None, "clock_ahead": 0.0})
    assert find(operator, record, importerKey="pending-avatars", status="importer_done") is not None
    assert find(operator, record, importerKey="pending-files", status="importer_done") is None
