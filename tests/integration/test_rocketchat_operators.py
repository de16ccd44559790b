# SPDX-License-Identifier: Apache-2.0
"""Rocket.Chat's operators against the sandbox: each import is started once, whatever happens."""

from __future__ import annotations

import asyncio
import zipfile
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from airflow_import_progress.compat import AirflowSensorTimeout
from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks import rocketchat_login, rocketchat_start
from airflow_import_progress.hooks.rocketchat import RocketChatHook
from airflow_import_progress.hooks.rocketchat_import import RocketChatImport
from airflow_import_progress.http import connection as connection_module
from airflow_import_progress.operators.rocketchat import (
    RocketChatFileImportOperator,
    RocketChatPendingFilesImportOperator,
    RocketChatUserImportOperator,
)
from airflow_import_progress.operators.rocketchat_base import RocketChatImportOperator
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.sandbox import Sandbox
from tests.support.operators import UNREACHABLE, Killed, die
from tests.support.sandbox_client import RocketChatClient

TOKEN = "pat-never-to-be-seen"
PASSWORD = "password-never-to-be-seen"
FILES = {
    "users.csv": "jdoe,jdoe@x.example,John Doe\nasmith,asmith@x.example,Ann Smith\n",
    "channels.csv": "general,jdoe,public,jdoe;asmith\nboard,jdoe,private,jdoe\n",
}
USERS = [
    {"importIds": [f"hr-{number}"], "emails": [f"{number}@example.com"], "username": f"user{number}"}
    for number in range(7)
]
URL = "https://user:secret@files.example/export.zip?signature=secret"


@pytest.fixture(scope="module")
def running_sandbox():
    """A sandbox in which an import takes a few polls."""
    with Sandbox(import_duration=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def rocketchat(running_sandbox, connect_to, monkeypatch):
    monkeypatch.setattr(rocketchat_login, "_log_ins", {})
    running_sandbox.set_credentials("rocketchat", auth_token=TOKEN, username="importer", password=PASSWORD)
    connect_to("rocketchat")
    yield running_sandbox
    running_sandbox.reset()


@pytest.fixture
def client(rocketchat):
    return RocketChatClient(rocketchat)


@pytest.fixture
def archive(tmp_path):
    file = tmp_path / "people.zip"
    with zipfile.ZipFile(file, "w") as made:
        for name, text in FILES.items():
            made.writestr(name, text)
    return file


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(rocketchat_start, "USERS_PER_REQUEST", 3)


@pytest.fixture
def tasks(operator_task, rocketchat, archive, small_batches):
    """Return a function that creates a task: one that imports a file or users, or downloads pending files."""
    known = {
        "file": partial(operator_task, RocketChatFileImportOperator, file=archive, importer_key="csv"),
        "users": partial(operator_task, RocketChatUserImportOperator, users=USERS),
        "pending": partial(operator_task, RocketChatPendingFilesImportOperator, kind="files"),
    }
    return lambda name, **arguments: known[name](**arguments)


@pytest.fixture
def file_task(tasks):
    return partial(tasks, "file")


@pytest.fixture
def user_task(tasks):
    return lambda users=USERS: tasks("users", users=users)


@pytest.fixture
def pending_task(tasks):
    return lambda kind="files", **arguments: tasks("pending", kind=kind, **arguments)


def sent(sandbox, name):
    """Return how many requests to an endpoint came to the server."""
    return sum(request["path"].endswith(f"/{name}") for request in sandbox.requests())


def operations(sandbox):
    return [one["import_id"] for one in sandbox.imports()]


def lose(sandbox, name, *, processed, times=1, fault=None):
    sandbox.add_fault(
        fault or {"reset": True}, vendor="rocketchat", path_contains=name, times=times, processed=processed
    )


def count(client):
    return client.status()["operation"]["count"]


# A file


def test_a_file_is_uploaded_prepared_started_and_waited_for(rocketchat, client, file_task):
    progress = file_task().run()
    assert (progress["state"], progress["percent"], progress["total"]) == ("succeeded", 100.0, 4)
    assert operations(rocketchat) == [progress["import_id"]]
    assert [sent(rocketchat, name) for name in ("uploadImportFile", "getImportFileData", "startImport")] == [1, 1, 1]
    operation = client.status()["operation"]
    assert operation["file"].endswith("-people.zip")
    assert operation["contentType"] == "application/zip"


def test_the_server_downloads_a_file_by_itself(rocketchat, client, operator_task):
    task = operator_task(RocketChatFileImportOperator, file_url=URL, importer_key="csv")
    assert task.run()["state"] == "succeeded"
    assert client.status()["operation"]["file"].endswith("_export.zip")
    assert "secret" not in task.stored


def test_no_part_of_an_address_is_recorded(rocketchat, operator_task):
    url = f"{URL}?X-Amz-Credential=AKIA/s3/aws4_request&X-Amz-Signature=dead"
    task = operator_task(RocketChatFileImportOperator, file_url=url, importer_key="csv")
    task.run()
    assert "aws4_request" not in task.stored


def test_only_the_selected_records_are_imported(client, file_task):
    file_task(channels=["general"], contacts=[]).run()
    # Rocket.Chat counts each user of a file twice.
    assert (count(client)["total"], count(client)["completed"]) == (4, 2 + 2 + 1)


def test_a_server_before_7_0_gets_lists(rocketchat, client, file_task):
    rocketchat.change("rocketchat", before_6_3=True)
    progress = file_task(channels=["general"]).run()
    assert progress["state"] == "succeeded"
    assert client.get("getCurrentImportOperation").json()["operation"]["count"]["completed"] == 2 + 2 + 1
    assert sent(rocketchat, "startImport") == 2


def test_bytes_are_uploaded(rocketchat, operator_task, archive):
    task = operator_task(RocketChatFileImportOperator, file=archive.read_bytes(), importer_key="csv")
    assert task.run()["state"] == "succeeded"


def test_a_file_that_cannot_be_prepared_fails_the_task(rocketchat, operator_task):
    task = operator_task(RocketChatFileImportOperator, file=b"no archive", importer_key="csv")
    with pytest.raises(ImportFailedError, match=r"check the file format.*No record was imported"):
        task.run()
    assert sent(rocketchat, "startImport") == 0


def test_too_few_records_fail_the_task(file_task):
    with pytest.raises(ImportFailedError, match="where min_records demands 100"):
        file_task(min_records=100).run()


@pytest.mark.parametrize("path", ["/nowhere/people.zip", "", "None"])
def test_without_a_file_nothing_is_sent(rocketchat, operator_task, path):
    with pytest.raises(ImportFileError):
        operator_task(RocketChatFileImportOperator, file=path, importer_key="csv").run()
    assert rocketchat.requests() == []


@pytest.mark.parametrize("url", ["", "None", "export.zip", "s3://bucket/export.zip", "ftp://secret@x/export.zip"])
def test_without_an_address_nothing_is_sent(rocketchat, operator_task, url):
    with pytest.raises(ValueError, match="file_url must be the http or https address of a file") as raised:
        operator_task(RocketChatFileImportOperator, file_url=url, importer_key="csv").run()
    assert "secret" not in str(raised.value)
    assert rocketchat.requests() == []


@pytest.mark.parametrize("ids", ["jdoe", None, [1], [""]])
def test_a_selection_that_is_none_is_refused_before_anything_is_sent(rocketchat, file_task, ids):
    with pytest.raises(ValueError, match="channels must be 'all' or a list of ids"):
        file_task(channels=ids).run()
    assert rocketchat.requests() == []


@pytest.mark.parametrize("arguments", [{}, {"file": b"x", "file_url": URL}])
def test_a_file_or_its_address_is_given(arguments):
    with pytest.raises(ValueError, match="either file or file_url"):
        RocketChatFileImportOperator(task_id="t", importer_key="csv", **arguments)


def test_an_operator_that_has_steps_to_take_has_to_wait():
    with pytest.raises(ValueError, match="wait_for_completion=False is not possible"):
        RocketChatFileImportOperator(task_id="t", file=b"x", importer_key="csv", wait_for_completion=False)
    with pytest.raises(ValueError, match="wait_for_completion=False is not possible"):
        RocketChatUserImportOperator(task_id="t", users=USERS, wait_for_completion=False)


# Users


def test_users_are_added_in_batches_run_and_waited_for(rocketchat, user_task):
    progress = user_task().run()
    assert (progress["state"], progress["total"], progress["processed"]) == ("succeeded", 7, 7)
    assert operations(rocketchat) == [progress["import_id"]]
    assert [sent(rocketchat, name) for name in ("import.new", "import.addUsers", "import.run")] == [1, 3, 1]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([], "users must be a list"),
        (None, "users must be a list"),
        ("[{}]", "users must be a list"),
        ([{"importIds": ["1"], "emails": ["a@x.example"]}, {"importIds": ["2"]}], r"users\[1\].*'emails'"),
        ([{"importIds": "1", "emails": ["a@x.example"]}], r"users\[0\].*'importIds'"),
        ([{"importIds": ["1"], "emails": ["a@x.example"], "bio": timedelta(1)}], "must consist of JSON values"),
    ],
)
def test_users_that_rocket_chat_would_refuse_are_refused_before_anything_is_sent(rocketchat, user_task, users, message):
    with pytest.raises(ValueError, match=message):
        user_task(users).run()
    assert rocketchat.requests() == []


def test_users_that_rocket_chat_refuses_are_deleted_and_another_import_can_be_started(rocketchat, client, user_task):
    task = user_task([{**USERS[0], "roles": ["emperor"]}])
    with pytest.raises(ImportFailedError, match=r"invalid roles.*No user was imported.*Clear this task"):
        task.run()
    assert sent(rocketchat, "import.run") == 0
    assert client.status()["operation"]["valid"] is False
    with pytest.raises(ImportFailedError, match="no longer valid"):
        task.run()
    task.arguments["users"] = USERS
    task.clear()
    assert task.run()["state"] == "succeeded"


# Pending files


@pytest.mark.parametrize("kind", ["files", "avatars"])
def test_pending_files_are_downloaded(rocketchat, pending_task, kind):
    progress = pending_task(kind).run()
    assert (progress["state"], progress["details"]["importer_key"]) == ("succeeded", f"pending-{kind}")


def test_nothing_to_download_is_a_success(pending_task):
    task = pending_task()
    assert task.run()["total"] == 120
    task.clear()
    assert task.run()["total"] is None


def test_without_waiting_the_result_is_the_operation(rocketchat, pending_task):
    assert operations(rocketchat) == [] == rocketchat.requests()
    assert [pending_task(wait_for_completion=False).run()] == operations(rocketchat)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be 'files' or 'avatars'"):
        RocketChatPendingFilesImportOperator(task_id="t", kind="emoji")


# Imports of others


@pytest.mark.parametrize("task_name", ["file", "users", "pending"])
def test_an_import_of_somebody_else_that_runs_is_not_ended(rocketchat, tasks, task_name):
    theirs = rocketchat.create_import("rocketchat", "slack", {"points": [[0, 50]]})
    task = tasks(task_name)
    with pytest.raises(ImportStartRefusedError, match=rf"busy with the import '{theirs}' \(slack\).*created at 20"):
        task.run()
    assert (operations(rocketchat), task.record) == ([theirs], None)


@pytest.mark.parametrize("task_name", ["file", "users", "pending"])
def test_data_of_somebody_else_that_waits_is_not_deleted(rocketchat, client, tasks, task_name):
    client.upload(b"a", "slack")
    task = tasks(task_name)
    with pytest.raises(ImportStartRefusedError, match=r"\(slack\).*'importer_file_loaded'.*import\.clear"):
        task.run()
    assert (len(operations(rocketchat)), task.record) == (1, None)


@pytest.mark.parametrize("event", ["cancel", "restart"])
def test_an_import_of_somebody_else_that_is_over_is_no_obstacle(rocketchat, user_task, event):
    rocketchat.create_import("rocketchat", "slack", {"points": [[0, 50]]})
    rocketchat.change("rocketchat", **{event: True})
    assert user_task().run()["state"] == "succeeded"


@pytest.mark.parametrize("task_name", ["file", "pending"])
def test_an_import_that_is_replaced_right_after_its_start_fails_the_task(rocketchat, tasks, monkeypatch, task_name):
    read = rocketchat_start._read_start

    def read_and_replace(response):
        rocketchat.create_import("rocketchat", "slack", {"points": [[0, 50]]})
        return read(response)

    monkeypatch.setattr(rocketchat_start, "_read_start", read_and_replace)
    with pytest.raises(ImportFailedError, match=r"now reports the import.*slack.*That has ended this import"):
        tasks(task_name).run()


def test_users_that_another_client_adds_are_not_imported(rocketchat, client, user_task, monkeypatch):
    def add_more(*_):
        client.post("import.addUsers", {"users": USERS[:1]})

    monkeypatch.setattr(RocketChatUserImportOperator, "_add_batch", add_more)
    with pytest.raises(ImportFailedError, match=r"has 3 users for the import .* where 7 were added, so it was not run"):
        user_task().run()
    assert sent(rocketchat, "import.run") == 0


# Lost answers


@pytest.mark.parametrize("fault", [{"reset": True}, {"status": 502}, {"body": "<html>"}])
@pytest.mark.parametrize(
    ("task_name", "endpoint"),
    [
        ("file", "uploadImportFile"),
        ("file", "getImportFileData"),
        ("file", "startImport"),
        ("users", "import.new"),
        ("users", "import.addUsers"),
        ("users", "import.run"),
        ("pending", "downloadPendingFiles"),
    ],
)
def test_a_lost_answer_leads_to_the_same_import(rocketchat, tasks, task_name, endpoint, fault):
    lose(rocketchat, endpoint, processed=True, fault=fault)
    task = tasks(task_name)
    progress = task.run()
    assert progress["state"] == "succeeded"
    assert operations(rocketchat) == [progress["import_id"]]
    assert sent(rocketchat, endpoint) == (3 if endpoint == "import.addUsers" else 1)


@pytest.mark.parametrize(
    ("task_name", "endpoint"),
    [
        ("file", "uploadImportFile"),
        ("users", "import.new"),
        ("pending", "downloadPendingFiles"),
    ],
)
def test_a_start_that_was_certainly_not_processed_is_sent_again(rocketchat, tasks, task_name, endpoint):
    lose(rocketchat, endpoint, processed=False)
    assert tasks(task_name).run()["state"] == "succeeded"
    assert (sent(rocketchat, endpoint), len(operations(rocketchat))) == (2, 1)


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "getImportFileData"), ("users", "import.addUsers")])
def test_a_step_that_imports_nothing_is_taken_again_if_it_was_not_processed(rocketchat, tasks, task_name, endpoint):
    lose(rocketchat, endpoint, processed=False)
    progress = tasks(task_name).run()
    assert (progress["state"], operations(rocketchat)) == ("succeeded", [progress["import_id"]])


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "startImport"), ("users", "import.run")])
def test_the_request_that_imports_is_never_sent_twice(rocketchat, client, tasks, clock, task_name, endpoint):
    lose(rocketchat, endpoint, processed=False)
    task = tasks(task_name)
    for _ in range(2):
        with pytest.raises(
            ImportStartUnknownError, match=r"unknown whether its records were imported.*clear this task"
        ):
            task.run()
    task.clear()
    with pytest.raises(ImportStartUnknownError):
        task.run()
    assert sent(rocketchat, endpoint) == 1
    assert sum(clock.slept) >= 60
    # A person starts it, and the cleared task waits for it.
    client.post(endpoint, {"input": {"users": {"all": True}}} if endpoint == "startImport" else None)
    task.clear()
    assert task.run()["state"] == "succeeded"
    assert len(operations(rocketchat)) == 1


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "startImport"), ("users", "import.run")])
def test_a_finished_import_that_somebody_opens_is_not_started_again(
    rocketchat, client, tasks, monkeypatch, task_name, endpoint
):
    task = tasks(task_name)
    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, "get_progress", die_while_running())
        with pytest.raises(Killed):
            task.run()
    client.get("getImportFileData")
    assert client.step() == "importer_user_selection"
    with pytest.raises(ImportStartUnknownError, match="somebody opened the page of the import"):
        task.run()
    assert sent(rocketchat, endpoint) == 1


def die_while_running():
    """Return a method that polls and dies once an import is known to run."""
    get_progress = RocketChatHook.get_progress

    def dying(hook, import_):
        progress = get_progress(hook, import_)
        if progress.vendor_status.startswith(("importer_importing", "importer_finishing", "importer_done")):
            raise Killed
        return progress

    return dying


def test_too_many_requests_are_no_failure(rocketchat, user_task):
    for endpoint in ("import.status", "import.new", "import.addUsers", "import.run"):
        body = '{"success":false,"error":"You must wait 42 seconds before trying this endpoint again."}'
        rocketchat.add_fault({"status": 429, "body": body}, vendor="rocketchat", path_contains=endpoint, times=2)
    progress = user_task().run()
    assert (progress["state"], progress["total"]) == ("succeeded", 7)
    assert len(operations(rocketchat)) == 1


def test_a_step_that_is_refused_is_taken_once_the_cause_is_gone(rocketchat, file_task, connect_to):
    refusal = '{"success":false,"error":"User does not have the permissions [error-unauthorized]"}'
    rocketchat.add_fault({"status": 403, "body": refusal}, vendor="rocketchat", path_contains="startImport", times=1)
    task = file_task()
    with pytest.raises(ImportRequestError, match="permission 'run-import'"):
        task.run()
    assert task.run()["state"] == "succeeded"
    assert len(operations(rocketchat)) == 1


def test_a_wrong_token_is_refused_and_nothing_is_recorded(rocketchat, file_task, connect_to):
    connect_to("rocketchat", password="wrong")
    task = file_task(soft_fail=True)
    with pytest.raises(ImportStartRefusedError, match=r"HTTP 401.*personal access token.*No import was started"):
        task.run()
    assert (operations(rocketchat), task.record) == ([], None)


def test_a_connection_that_is_refused_is_tried_again_and_starts_one_import(rocketchat, file_task, connect_to):
    connect_to("rocketchat", **UNREACHABLE)
    task = file_task()
    with pytest.raises(ImportPollError, match="the connection was refused"):
        task.run()
    assert task.record is None
    connect_to("rocketchat")
    assert task.run()["state"] == "succeeded"
    assert len(operations(rocketchat)) == 1


def test_an_outage_before_the_start_is_survived(rocketchat, pending_task):
    rocketchat.add_fault({"status": 503}, vendor="rocketchat", path_contains="import.status", times=3)
    assert pending_task().run()["state"] == "succeeded"


# Crashes

DEATHS = [
    ("file", "run", 1, "before the workspace is looked at"),
    ("file", "start_import", 1, "before the upload"),
    ("users", "start_import", 1, "before the import is created"),
    ("users", "run", 3, "between the batches"),
    ("users", "run", 5, "before the users are counted"),
    ("pending", "start_import", 1, "before the download"),
]


@pytest.mark.parametrize("is_cleared", [False, True])
@pytest.mark.parametrize(("task_name", "method", "call", "_when"), DEATHS, ids=[death[3] for death in DEATHS])
def test_a_worker_that_dies_leads_to_one_import(
    rocketchat, tasks, monkeypatch, task_name, method, call, _when, is_cleared
):
    task = tasks(task_name)
    whole = getattr(RocketChatHook, method)
    calls = []

    def dying(hook, conversation):
        calls.append(conversation)
        if len(calls) == call:
            raise Killed
        return whole(hook, conversation)

    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, method, dying)
        with pytest.raises(Killed):
            task.run()
    if is_cleared:
        task.clear()
    progress = task.run()
    assert (progress["state"], operations(rocketchat)) == ("succeeded", [progress["import_id"]])


@pytest.mark.parametrize(
    ("task_name", "endpoint"),
    [
        ("file", "uploadImportFile"),
        ("file", "getImportFileData"),
        ("file", "startImport"),
        ("users", "import.new"),
        ("users", "import.addUsers"),
        ("users", "import.run"),
        ("pending", "downloadPendingFiles"),
    ],
)
def test_a_worker_that_dies_when_a_request_was_processed_leads_to_the_same_import(
    rocketchat, tasks, monkeypatch, task_name, endpoint
):
    task = tasks(task_name)
    normalize = RocketChatHook.normalize_retry_after

    def dying(hook, response):
        if response.request_line.endswith(f"/{endpoint}"):
            raise Killed
        return normalize(hook, response)

    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, "normalize_retry_after", dying)
        with pytest.raises(Killed):
            task.run()
    progress = task.run()
    assert (progress["state"], operations(rocketchat)) == ("succeeded", [progress["import_id"]])
    assert sent(rocketchat, endpoint) == (3 if endpoint == "import.addUsers" else 1)


def test_a_retry_continues_its_import_when_the_file_is_gone(rocketchat, file_task, archive, monkeypatch):
    task = file_task()
    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, "get_progress", die)
        with pytest.raises(Killed):
            task.run()
    archive.unlink()
    assert task.run()["state"] == "succeeded"
    assert len(operations(rocketchat)) == 1


# Tries that Airflow has lost, and that still run while a later one does


def test_a_try_that_was_lost_before_its_upload_sends_nothing(rocketchat, file_task, monkeypatch):
    task = file_task()
    run, later = RocketChatHook.run, []

    def run_slowly(hook, conversation):
        result = run(hook, conversation)
        if not later:
            later.append("begun")
            later.append(task.run())
        return result

    monkeypatch.setattr(RocketChatHook, "run", run_slowly)
    with pytest.raises(RuntimeError, match="by a later try"):
        task.run()
    assert (later[1]["state"], operations(rocketchat)) == ("succeeded", [later[1]["import_id"]])


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "startImport"), ("users", "import.run")])
def test_a_try_that_was_lost_before_it_imports_the_records_does_not_import_them(
    rocketchat, tasks, monkeypatch, task_name, endpoint
):
    task = tasks(task_name)
    run_once, later = RocketChatImportOperator._run_once, []

    def run_once_slowly(*args):
        if not later:
            later.append("begun")
            later.append(task.run())
        run_once(*args)

    monkeypatch.setattr(RocketChatImportOperator, "_run_once", run_once_slowly)
    with pytest.raises(RuntimeError, match="by a later try"):
        task.run()
    assert (later[1]["state"], sent(rocketchat, endpoint)) == ("succeeded", 1)


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "startImport"), ("users", "import.run")])
def test_a_lost_try_does_not_import_the_records_that_a_later_one_imports(
    rocketchat, tasks, monkeypatch, task_name, endpoint
):
    task = tasks(task_name)
    run_once, later = RocketChatImportOperator._run_once, []

    def run_once_slowly(*args):
        if not later:
            later.append("begun")
            with monkeypatch.context() as patch:
                patch.setattr(RocketChatHook, "get_progress", die_while_running())
                with pytest.raises(Killed):
                    task.run()
        run_once(*args)

    monkeypatch.setattr(RocketChatImportOperator, "_run_once", run_once_slowly)
    assert task.run()["state"] == "succeeded"
    assert sent(rocketchat, endpoint) == 1


def test_a_request_of_a_lost_try_may_arrive_as_late_as_it_may_take(rocketchat, pending_task, connect_to, monkeypatch):
    connect_to("rocketchat", extra={"timeout": 300})
    task = pending_task()
    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, "start_import", die)
        with pytest.raises(Killed):
            task.run()
    begun_at = task.clock.now
    assert task.run()["state"] == "succeeded"
    assert task.clock.now - begun_at >= 300


def test_an_upload_of_a_lost_try_may_take_as_long_as_its_size_allows(rocketchat, file_task, monkeypatch):
    monkeypatch.setattr(connection_module, "MIN_UPLOAD_RATE", 1.0)
    task = file_task()
    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, "start_import", die)
        with pytest.raises(Killed):
            task.run()
    begun_at = task.clock.now
    assert task.run()["state"] == "succeeded"
    assert task.clock.now - begun_at >= task.arguments["file"].stat().st_size


# The timeout


@pytest.fixture
def endless_imports(monkeypatch):
    """Let each import run without an end, once its records are being imported."""
    poll = RocketChatImport.poll

    def poll_without_end(import_, connection):
        progress = yield from poll(import_, connection)
        if progress.state is not ImportState.SUCCEEDED:
            return progress
        return ImportProgress(import_id=progress.import_id, state=ImportState.RUNNING)

    monkeypatch.setattr(RocketChatImport, "poll", poll_without_end)


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "getImportFileData"), ("users", "import.addUsers")])
def test_the_steps_and_the_waits_share_one_timeout(rocketchat, tasks, endless_imports, clock, task_name, endpoint):
    rocketchat.add_fault({"status": 503}, vendor="rocketchat", path_contains=endpoint, times=6)
    task = tasks(task_name, timeout=600)
    begun_at = clock.now
    with pytest.raises(AirflowSensorTimeout, match="not done within the timeout of 600 s"):
        task.run()
    assert 590 <= clock.now - begun_at <= 610
    assert sent(rocketchat, "startImport") + sent(rocketchat, "import.run") == 1


@pytest.mark.parametrize("task_name", ["file", "users"])
def test_a_step_after_a_long_wait_does_not_begin_the_timeout_anew(
    rocketchat, tasks, endless_imports, clock, monkeypatch, task_name
):
    poll, begun_at = RocketChatImport.poll, clock.now

    def poll_late(import_, connection):
        progress = yield from poll(import_, connection)
        return replace(progress, state=ImportState.RUNNING) if clock.now < begun_at + 300 else progress

    monkeypatch.setattr(RocketChatImport, "poll", poll_late)
    with pytest.raises(AirflowSensorTimeout, match="not done within the timeout of 600 s"):
        tasks(task_name, timeout=600).run()
    assert 590 <= clock.now - begun_at <= 610
    assert sent(rocketchat, "startImport") + sent(rocketchat, "import.run") == 1


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "getImportFileData"), ("users", "import.addUsers")])
def test_a_step_that_never_gets_through_ends_with_the_timeout_and_is_taken_after_a_clear(
    rocketchat, tasks, clock, task_name, endpoint
):
    rocketchat.add_fault({"status": 503}, vendor="rocketchat", path_contains=endpoint, times=None)
    task = tasks(task_name, timeout=600, max_consecutive_failures=100)
    begun_at = clock.now
    with pytest.raises(AirflowSensorTimeout, match=r"within the timeout of 600 s\. The last request failed: .*503"):
        task.run()
    assert 590 <= clock.now - begun_at <= 610
    rocketchat.clear_faults()
    task.clear()
    # The import takes real time.
    task.arguments["timeout"] = 1_000_000
    assert task.run()["state"] == "succeeded"
    assert len(operations(rocketchat)) == 1


def test_another_import_after_a_lost_answer_is_not_taken_for_this_one(rocketchat, file_task, monkeypatch):
    task = file_task()
    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, "start_import", die)
        with pytest.raises(Killed):
            task.run()
    rocketchat.create_import("rocketchat", "csv", {"duration": 0})
    with pytest.raises(ImportStartUnknownError, match="Administration > Import"):
        task.run()


def test_users_that_changed_are_not_mixed_with_those_that_were_added(rocketchat, user_task, monkeypatch):
    task = user_task()
    with monkeypatch.context() as patch:
        patch.setattr(RocketChatUserImportOperator, "_patiently", die_in_second_batch())
        with pytest.raises(Killed):
            task.run()
    task.arguments["users"] = [*USERS, {"importIds": ["new"], "emails": ["new@example.com"]}]
    with pytest.raises(ImportFailedError, match="the users have changed since the first 3 of them were added"):
        task.run()
    assert sent(rocketchat, "import.run") == 0
    task.clear()
    assert task.run()["total"] == 8


def die_in_second_batch():
    patiently = RocketChatUserImportOperator._patiently
    added = []

    def dying(operator, send, may_be_repeated):
        if getattr(send, "func", None) == operator._add_batch:
            if added:
                raise Killed
            added.append(send)
        return patiently(operator, send, may_be_repeated)

    return dying


def test_if_the_request_that_imports_cannot_be_noted_it_is_not_sent(rocketchat, file_task, monkeypatch):
    task = file_task()
    note = RocketChatFileImportOperator.note

    def full(operator, **notes):
        if "run_sent_at" in notes:
            raise RuntimeError("the store is full")
        note(operator, **notes)

    monkeypatch.setattr(RocketChatFileImportOperator, "note", full)
    with pytest.raises(RuntimeError, match="the store is full"):
        task.run()
    assert sent(rocketchat, "startImport") == 0


@pytest.mark.parametrize(("task_name", "endpoint"), [("file", "startImport"), ("users", "import.run")])
def test_without_its_record_an_import_that_waits_is_not_continued(rocketchat, tasks, monkeypatch, task_name, endpoint):
    task = tasks(task_name)
    monkeypatch.setattr(RocketChatHook, "get_progress", lose_the_record(task))
    with pytest.raises(ImportActionRequiredError, match="waits for somebody to act"):
        task.run()
    assert sent(rocketchat, endpoint) == 0


def lose_the_record(task):
    get_progress = RocketChatHook.get_progress

    def losing(hook, import_):
        task.state_store.values.clear()
        task.variables.clear()
        return get_progress(hook, import_)

    return losing


def test_a_clear_after_the_end_starts_another_import(rocketchat, file_task):
    task = file_task()
    first = task.run()
    assert task.run()["import_id"] == first["import_id"]
    task.clear()
    assert task.run()["import_id"] != first["import_id"]
    assert sent(rocketchat, "startImport") == 2


@pytest.mark.parametrize("task_name", ["file", "users"])
def test_the_record_contains_neither_the_token_nor_the_content(tasks, task_name):
    task = tasks(task_name)
    task.run()
    assert "operation_id" in task.stored
    assert TOKEN not in task.stored
    assert "example" not in task.stored


# The user


def test_an_operation_of_another_user_is_not_taken_for_this_one(rocketchat, pending_task, client, monkeypatch):
    task = pending_task()
    with monkeypatch.context() as patch:
        patch.setattr(RocketChatHook, "start_import", die)
        with pytest.raises(Killed):
            task.run()
    client.post("downloadPendingFiles", {})
    monkeypatch.setattr(RocketChatHook, "user_id", lambda hook: "somebody-else")
    with pytest.raises(ImportStartUnknownError):
        task.run()


def test_with_a_password_the_user_is_that_of_the_log_in(rocketchat, pending_task, connect_to):
    connect_to("rocketchat", login="importer", password=PASSWORD, extra={"auth_method": "password"})
    lose(rocketchat, "downloadPendingFiles", processed=True)
    assert pending_task().run()["state"] == "succeeded"
    assert RocketChatHook().user_id() == rocketchat.airflow_connection("rocketchat")["login"]


# The hook


def test_the_hook_starts_all_kinds_of_imports(rocketchat, client, archive, small_batches):
    hook = RocketChatHook()
    started = []
    for start in (
        lambda: hook.start_file_import(archive, importer_key="csv"),
        lambda: hook.start_file_import(file_url=URL, importer_key="slack"),
        lambda: hook.start_user_import(USERS),
        lambda: hook.start_pending_files_import("files"),
        lambda: asyncio.run(hook.astart_file_import(archive, importer_key="csv")),
        lambda: asyncio.run(hook.astart_user_import(USERS)),
        lambda: asyncio.run(hook.astart_pending_files_import("avatars")),
    ):
        started.append(start().operation_id)
        client.post("import.clear")
    assert started == operations(rocketchat)


def test_the_hook_starts_nothing_while_another_import_runs(rocketchat):
    rocketchat.create_import("rocketchat", "slack", {"points": [[0, 50]]})
    hook = RocketChatHook()
    for start in (
        lambda: hook.start_file_import(b"a", importer_key="csv"),
        lambda: hook.start_user_import(USERS),
        lambda: hook.start_pending_files_import("files"),
    ):
        with pytest.raises(ImportStartRefusedError, match="busy with the import"):
            start()
    assert len(operations(rocketchat)) == 1
