# SPDX-License-Identifier: Apache-2.0
"""The simulated Rocket.Chat over HTTP, as the real one's documents and source describe it."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
import zipfile
from datetime import datetime
from itertools import chain, repeat
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox
from airflow_import_progress.sandbox.rocketchat_operations import Operation, Status, Step
from airflow_import_progress.sandbox.script import Script
from airflow_import_progress.sandbox.simulated_import import SimulatedImport
from airflow_import_progress.sandbox.world import World
from tests.support.sandbox_client import RocketChatClient

MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
NOT_LOGGED_IN = "You must be logged in to do this."
PASSWORD = "sandbox-rocketchat-password"
LOGIN = {"user": "sandbox-importer", "password": PASSWORD}
USERS = [
    {"username": f"user{number}", "emails": [f"{number}@x.example"], "importIds": [str(number)]} for number in (1, 2)
]
OLDER = ("import.status", "import.new", "import.addUsers", "import.run", "import.clear")
WITHOUT_QUERY = (
    "getImportProgress",
    "getCurrentImportOperation",
    "getLatestImportOperations",
    "getImportFileData",
    "importers.list",
)


def at(percent: float, **fields: Any) -> dict[str, Any]:
    """Return the script of an import with a constant progress."""
    return {"points": [[0, percent]], **fields}


def failed_at(percent: float, **fields: Any) -> dict[str, Any]:
    return {"points": [[0, percent], [0, -1]], **fields}


def create(sandbox: Sandbox, script: dict[str, Any] | None = None, kind: str = "csv") -> str:
    return sandbox.create_import("rocketchat", kind, script)


def counts(completed: int, total: int, error: int = 0) -> dict[str, int]:
    return {"completed": completed, "total": total, "error": error}


def archive(**files: str) -> bytes:
    """Return a ZIP archive. ``__`` is a slash in the names of its files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for name, text in files.items():
            made.writestr(name.replace("__", "/").replace("//MACOSX", "__MACOSX") + ".csv", text)
    return content.getvalue()


PEOPLE = archive(
    users="jdoe,jdoe@x.example,John Doe\nasmith,asmith@x.example,Ann Smith\n",
    channels="general,jdoe,public,jdoe;asmith\nboard,jdoe,private,jdoe\n",
    contacts="id,emails,phones,name\nc1,a@x.example; b@x.example,+33 1,Carla\n,,,\n",
    general__2025="jdoe,1,Hello\nasmith,2,Hi\njdoe,3,Bye\n",
)


def refused(answer: requests.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["error"], answer.json()["errorType"]


def events(sandbox: Sandbox, **changes: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}/_sandbox/rocketchat", json=changes, timeout=5)


# Credentials


@pytest.mark.parametrize(
    "wrong",
    [{"X-User-Id": "nobody"}, {"X-Auth-Token": "wrong"}, {"X-Auth-Token": ""}],
    ids=["another user", "another token", "no token"],
)
def test_both_headers_are_needed(rocketchat: RocketChatClient, wrong: dict[str, str]) -> None:
    answer = rocketchat.get("getImportProgress", headers={**rocketchat.headers, **wrong})
    assert answer.status_code == 401
    assert answer.json() == {
        "success": False,
        "error": NOT_LOGGED_IN,
        "status": "error",
        "message": NOT_LOGGED_IN,
    }


@pytest.mark.parametrize("name", ["user", "username", "email"])
def test_a_login_gives_a_token_that_works(rocketchat: RocketChatClient, name: str) -> None:
    answer = rocketchat.post("login", {name: "sandbox-importer", "password": PASSWORD}, headers={})
    data = answer.json().pop("data")
    assert (answer.status_code, answer.json()["status"], answer.json()["success"]) == (200, "success", True)
    assert data["me"]["_id"] == data["userId"]
    headers = {"X-User-Id": data["userId"], "X-Auth-Token": data["authToken"]}
    assert rocketchat.get("me", headers=headers).json()["username"] == "sandbox-importer"


def test_each_login_gives_another_token(rocketchat: RocketChatClient) -> None:
    tokens = {rocketchat.post("login", LOGIN).json()["data"]["authToken"] for _ in range(2)}
    assert len(tokens) == 2


def test_a_token_can_be_resumed(rocketchat: RocketChatClient) -> None:
    token = rocketchat.post("login", LOGIN).json()["data"]["authToken"]
    assert rocketchat.post("login", {"resume": token}).json()["data"]["authToken"] == token


@pytest.mark.parametrize(
    "body",
    [
        {**LOGIN, "password": "wrong"},
        {**LOGIN, "user": "nobody"},
        {**LOGIN, "user": {"username": "nobody"}},
        {**LOGIN, "password": "\ud800"},
        {"resume": "wrong"},
        {"resume": []},
        {"password": PASSWORD},
        {},
    ],
)
def test_a_wrong_login_is_unauthorized(rocketchat: RocketChatClient, body: Any) -> None:
    answer = rocketchat.post("login", body)
    assert (answer.status_code, answer.json()) == (
        401,
        {"success": False, "status": "error", "error": "Unauthorized", "message": "Unauthorized"},
    )


def test_a_token_ends_with_its_logout(rocketchat: RocketChatClient) -> None:
    token = rocketchat.post("login", LOGIN).json()["data"]["authToken"]
    headers = {**rocketchat.headers, "X-Auth-Token": token}
    assert rocketchat.post("logout", headers=headers).json()["status"] == "success"
    assert rocketchat.get("me", headers=headers).status_code == 401


def test_the_tokens_of_all_logins_can_expire(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    token = rocketchat.post("login", LOGIN).json()["data"]["authToken"]
    assert events(sandbox, revoke_tokens=True).status_code == 204
    assert rocketchat.get("me", headers={**rocketchat.headers, "X-Auth-Token": token}).status_code == 401
    assert rocketchat.get("me").status_code == 200


def test_a_reset_forgets_tokens(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    token = rocketchat.post("login", LOGIN).json()["data"]["authToken"]
    sandbox.reset()
    assert rocketchat.get("me", headers={**rocketchat.headers, "X-Auth-Token": token}).status_code == 401


def test_a_login_may_need_a_code(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    events(sandbox, totp_code="123456")
    answer = rocketchat.post("login", LOGIN)
    assert (answer.status_code, answer.json()) == (
        401,
        {
            "success": False,
            "status": "error",
            "error": "totp-required",
            "message": "TOTP Required",
            "details": {"method": "totp", "codeGenerated": False, "availableMethods": ["totp"]},
        },
    )
    assert rocketchat.post("login", {**LOGIN, "code": "654321"}).json()["error"] == "totp-invalid"
    assert rocketchat.post("login", {**LOGIN, "code": "123456"}).status_code == 200
    assert rocketchat.post("login", LOGIN, headers={"x-2fa-code": "123456"}).status_code == 200


def test_the_need_of_a_code_can_be_taken_back(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    sandbox.change("rocketchat", totp_code="123456")
    sandbox.change("rocketchat", totp_code=None)
    assert rocketchat.post("login", LOGIN).status_code == 200


def test_no_token_is_recorded(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    token = rocketchat.post("login", LOGIN, headers={"x-2fa-code": "654321"}).json()["data"]["authToken"]
    rocketchat.get(f"me?token={token}", headers={**rocketchat.headers, "X-Auth-Token": token, "X-Note": token})
    events(sandbox, revoke_tokens=True)
    rocketchat.get("me", headers={"X-Auth-Token": "unknown-token", "X-Note": token})
    recorded = json.dumps(sandbox.requests())
    for secret in (token, "unknown-token", "654321"):
        assert secret not in recorded
    assert [request["headers"]["X-Note"] for request in sandbox.requests()[1:]] == ["***", "***"]


def test_no_token_is_logged() -> None:
    log = io.StringIO()
    with Sandbox(access_log=log) as sandbox:
        rocketchat = RocketChatClient(sandbox)
        token = rocketchat.post("login", LOGIN).json()["data"]["authToken"]
        rocketchat.get(f"me?token={token}")
    written = [line.rsplit(" ", 2)[0] for line in log.getvalue().splitlines()]
    assert written == ["POST /api/v1/login 200", "GET /api/v1/me?token=*** 200"]


def test_the_id_of_the_user_is_not_secret(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    rocketchat.get("me")
    (recorded,) = sandbox.requests()
    assert recorded["headers"]["X-User-Id"] == rocketchat.headers["X-User-Id"]
    assert recorded["headers"]["X-Auth-Token"] == "***"


def test_the_airflow_connection_has_the_user_and_the_access_token() -> None:
    with Sandbox(rocketchat_user_id="me", rocketchat_auth_token="mine") as sandbox:
        connection = sandbox.airflow_connection("rocketchat")
        assert (connection["conn_type"], connection["login"], connection["password"]) == ("rocketchat", "me", "mine")
        assert RocketChatClient(sandbox).get("me").json()["_id"] == "me"


# Permissions and parameters


@pytest.mark.parametrize(
    ("path", "allowed"), [("getImportProgress", "view-import-operations"), ("getLatestImportOperations", "run-import")]
)
def test_a_user_without_the_permission_is_forbidden(
    sandbox: Sandbox, rocketchat: RocketChatClient, path: str, allowed: str
) -> None:
    events(sandbox, permissions=[allowed])
    answer = rocketchat.get(path)
    assert (answer.status_code, answer.json()) == (
        403,
        {
            "success": False,
            "error": "User does not have the permissions required for this action [error-unauthorized]",
        },
    )


def test_the_latest_operations_need_only_the_other_permission(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    events(sandbox, permissions=["view-import-operations"])
    assert rocketchat.get("getLatestImportOperations").json() == []


@pytest.mark.parametrize("path", WITHOUT_QUERY)
def test_any_parameter_is_refused(sandbox: Sandbox, rocketchat: RocketChatClient, path: str) -> None:
    create(sandbox)
    answer = rocketchat.get(path, params={"any": "test"})
    assert refused(answer) == (400, "must NOT have additional properties [invalid-params]", "invalid-params")
    assert answer.json()["success"] is False


def test_parameters_are_checked_before_permissions(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    events(sandbox, permissions=[])
    assert rocketchat.get("getImportProgress", params={"any": "test"}).status_code == 400


def test_the_status_does_not_mind_parameters(rocketchat: RocketChatClient) -> None:
    assert rocketchat.get("import.status", params={"any": "test"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("uploadImportFile", {"importerKey": "csv"}, "must have required property 'binaryContent'"),
        ("downloadPublicImportFile", {"fileUrl": [], "importerKey": "csv"}, "must be string"),
        ("downloadPendingFiles", {"any": 1}, "must NOT have additional properties"),
        ("startImport", {"input": {"users": []}}, "must be object"),
        ("startImport", {}, "must have required property 'input'"),
        ("import.addUsers", {"users": [{"emails": []}]}, "must have required property 'importIds'"),
        ("import.addUsers", {"users": [5]}, "must be object"),
        ("import.addUsers", {"users": [{**USERS[0], "username": ["jdoe"]}]}, "must be string"),
        ("import.addUsers", {"users": [], "more": 1}, "must NOT have additional properties"),
        ("import.addUsers", {"users": [{**USERS[0], "utcOffset": 10**400}]}, "must be number"),
    ],
)
def test_a_wrong_body_is_refused(rocketchat: RocketChatClient, path: str, body: Any, problem: str) -> None:
    assert refused(rocketchat.post(path, body)) == (400, f"{problem} [invalid-params]", "invalid-params")


def test_scalars_are_taken_for_text(rocketchat: RocketChatClient) -> None:
    body = {"binaryContent": None, "contentType": True, "fileName": 5, "importerKey": "csv"}
    assert rocketchat.post("uploadImportFile", body).status_code == 200
    operation = rocketchat.status()["operation"]
    assert (operation["contentType"], operation["file"].rpartition("_")[2]) == ("true", "5")


# The course of an import


@pytest.mark.parametrize(
    ("percent", "step"),
    [
        (0, "importer_importing_started"),
        (20, "importer_importing_users"),
        (45, "importer_importing_contacts"),
        (55, "importer_importing_channels"),
        (80, "importer_importing_messages"),
        (97, "importer_finishing"),
        (100, "importer_done"),
    ],
)
def test_an_import_of_files_walks_through_its_records(
    sandbox: Sandbox, rocketchat: RocketChatClient, percent: float, step: str
) -> None:
    create(sandbox, at(percent))
    assert rocketchat.step() == step


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("api", "importer_importing_users"),
        ("slack-users", "importer_importing_users"),
        ("omnichannel_contact", "importer_importing_contacts"),
        ("pending-files", "importer_importing_files"),
        ("pending-avatars", "importer_importing_files"),
    ],
)
def test_other_importers_have_one_type_of_records(
    sandbox: Sandbox, rocketchat: RocketChatClient, kind: str, step: str
) -> None:
    create(sandbox, at(90), kind)
    assert rocketchat.step() == step


def test_an_import_starts_at_once_and_ends_by_itself(instant_sandbox: Sandbox) -> None:
    create(instant_sandbox)
    assert RocketChatClient(instant_sandbox).step() == "importer_done"


def test_an_import_can_fail_at_the_percent_of_its_script(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, failed_at(23, records=1000))
    assert rocketchat.progress() == {
        "key": "csv",
        "name": "CSV",
        "step": "importer_import_failed",
        "count": counts(200, 1000),
        "success": True,
    }
    assert rocketchat.status()["state"] == "error"


def test_progress_is_reported_for_ever(instant_sandbox: Sandbox, instant_rocketchat: RocketChatClient) -> None:
    create(instant_sandbox)
    assert [instant_rocketchat.step() for _ in range(3)] == ["importer_done"] * 3


def test_any_negative_progress_of_a_script_is_a_failure(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(-0.5))
    assert (rocketchat.step(), sandbox.imports()[0]["progress"]) == ("importer_import_failed", -1)


def test_there_is_no_progress_before_the_first_import(rocketchat: RocketChatClient) -> None:
    answer = rocketchat.get("getImportProgress")
    assert answer.status_code == 400
    assert answer.json() == {
        "success": False,
        "error": "Import Operation Not Found [error-operation-not-found]",
        "errorType": "error-operation-not-found",
        "details": "getImportProgress",
    }


def test_other_questions_before_the_first_import_have_empty_answers(rocketchat: RocketChatClient) -> None:
    assert rocketchat.status() == {"state": "none", "success": True}
    assert rocketchat.get("getCurrentImportOperation").json() == {"success": True}
    assert rocketchat.get("getLatestImportOperations").json() == []


def test_an_operation_is_reported_as_the_database_has_it(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    import_id = create(sandbox, at(50, records=200, failed_records=4), "api")
    answer = rocketchat.status()
    operation = answer.pop("operation")
    assert answer == {"state": "importing", "success": True}
    assert MOMENT.fullmatch(operation.pop("ts"))
    assert MOMENT.fullmatch(operation.pop("_updatedAt"))
    assert operation == {
        "_id": import_id,
        "type": "api",
        "importerKey": "api",
        "status": "importer_importing_users",
        "valid": True,
        "user": rocketchat.headers["X-User-Id"],
        "count": {"total": 200, "users": 200, "completed": 98, "error": 2},
    }


def test_the_current_operation_is_that_of_the_status(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(30))
    current = rocketchat.get("getCurrentImportOperation").json()
    assert current == {"operation": rocketchat.status()["operation"], "success": True}


def test_a_new_id_looks_like_one_of_the_database(sandbox: Sandbox) -> None:
    assert re.fullmatch(r"[0-9a-f]{24}", create(sandbox))


def test_the_importers_are_listed_without_the_hidden_ones(rocketchat: RocketChatClient) -> None:
    keys = [importer["key"] for importer in rocketchat.get("importers.list").json()]
    assert keys == ["csv", "slack", "slack-users", "omnichannel_contact"]


@pytest.mark.parametrize(("percent", "progress"), [(0, 0), (50, 50), (100, 100)])
def test_the_control_api_lists_the_progress(sandbox: Sandbox, percent: float, progress: float) -> None:
    create(sandbox, at(percent))
    assert sandbox.imports()[0]["progress"] == progress


def test_the_control_api_lists_waiting_and_failed_imports(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    rocketchat.upload(b"")
    waiting = sandbox.imports()[0]["progress"]
    rocketchat.get("getImportFileData")
    assert (waiting, sandbox.imports()[0]["progress"]) == (0, -1)


def test_the_control_api_lists_an_import_without_records_as_done(instant_sandbox: Sandbox) -> None:
    for _ in range(2):
        RocketChatClient(instant_sandbox).post("downloadPendingFiles", {})
    assert [one["progress"] for one in instant_sandbox.imports()] == [100, 100]


# Counts


def test_counts_are_flushed_every_50_records(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    shown = []
    for percent in (5, 9.4, 9.5, 13.9, 14):
        create(sandbox, at(percent), "api")
        shown.append(rocketchat.progress()["count"]["completed"])
    assert shown == [0, 0, 50, 50, 100]


@pytest.mark.parametrize(("percent", "completed"), [(5, 0), (9, 400), (13.9, 1000), (14.1, 1500), (100, 10_500)])
def test_counts_of_messages_are_flushed_every_500(percent: float, completed: int) -> None:
    import_ = SimulatedImport("rocketchat", "csv", "any", Script.from_json(at(percent), default_duration=0))
    records = {"users": 500, "messages": 9500}
    operation = Operation(import_, "me", records, records, held_status=None, changed_at=0)
    assert operation.status().completed == completed


def test_an_import_runs_from_the_beginning_however_long_it_waited_for_a_client() -> None:
    times = chain([0.0], repeat(1000.0))
    import_ = SimulatedImport("rocketchat", "api", "any", Script.steady(10), clock=lambda: next(times))
    operation = Operation(import_, "me", {"users": 5}, {}, held_status=Status(Step.USER_SELECTION), changed_at=0)
    operation.run({"users": 5})
    assert operation.status().step is Step.IMPORTING_STARTED


def test_users_of_a_file_are_counted_twice_at_their_end(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(23, failed_records=7))
    during = rocketchat.progress()["count"]
    create(sandbox, at(41, failed_records=7))
    assert (during, rocketchat.progress()["count"]) == (counts(200, 1000), counts(793, 1000, 7))


def test_more_can_be_completed_than_there_is(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(100, records=10))
    assert rocketchat.progress()["count"] == counts(14, 10)


def test_failed_records_beside_users_count_as_completed(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(100, records=10, failed_records=10), "omnichannel_contact")
    assert rocketchat.progress()["count"] == counts(10, 10)


def test_users_added_by_the_api_are_counted_once(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(100, records=200, failed_records=2), "api")
    assert rocketchat.progress()["count"] == counts(198, 200, 2)


def test_an_import_of_nothing_has_no_counts(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(100, records=0))
    assert rocketchat.progress()["count"] == counts(0, 0)


# One operation per workspace


def test_the_newest_import_is_reported(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(100))
    create(sandbox, at(0), "slack")
    assert (rocketchat.progress()["key"], rocketchat.step()) == ("slack", "importer_importing_started")


def test_a_new_import_kills_the_running_one(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    first = create(sandbox, at(20))
    rocketchat.post("import.new")
    newest, killed = rocketchat.get("getLatestImportOperations").json()
    assert (newest["importerKey"], newest["valid"]) == ("api", True)
    assert (killed["_id"], killed["valid"], killed["status"]) == (first, False, "importer_done")


def test_a_finished_import_is_invalid_after_a_new_one(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, failed_at(20))
    create(sandbox)
    assert rocketchat.get("getLatestImportOperations").json()[1]["status"] == "importer_import_failed"


def test_only_the_last_20_operations_are_listed(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    ids = [create(sandbox, at(0)) for _ in range(21)]
    listed = [operation["_id"] for operation in rocketchat.get("getLatestImportOperations").json()]
    assert listed == ids[:0:-1]


def test_a_cleared_import_ends_as_if_it_were_done(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(23))
    assert rocketchat.post("import.clear").json() == {"success": True}
    assert rocketchat.status()["state"] == "done"
    assert rocketchat.status()["operation"]["valid"] is False
    assert rocketchat.progress()["count"]["completed"] == 200


def test_no_other_thread_sees_an_operation_that_is_half_made(
    instant_sandbox: Sandbox, instant_rocketchat: RocketChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float | None] = []
    reader = threading.Thread(target=lambda: seen.extend(one["progress"] for one in instant_sandbox.imports()))

    add_import = World.add_import

    def add_import_and_let_others_read(world: World, *arguments: Any, **options: Any) -> SimulatedImport:
        added = add_import(world, *arguments, **options)
        reader.start()
        reader.join(0.2)
        return added

    monkeypatch.setattr(World, "add_import", add_import_and_let_others_read)
    instant_rocketchat.post("import.new")
    reader.join()
    assert seen == [0]


# Users by the API


def test_an_import_by_the_api_waits_for_each_call(
    instant_sandbox: Sandbox, instant_rocketchat: RocketChatClient
) -> None:
    created = instant_rocketchat.post("import.new").json()["operation"]
    steps = [instant_rocketchat.step()]
    for path, body in (("import.addUsers", {"users": USERS}), ("import.run", None)):
        assert instant_rocketchat.post(path, body).json() == {"success": True}
        steps.append(instant_rocketchat.step())
    assert steps == ["importer_new", "importer_user_selection", "importer_done"]
    assert (
        instant_rocketchat.status()["operation"]["_id"] == created["_id"] == instant_sandbox.imports()[0]["import_id"]
    )
    assert instant_rocketchat.progress()["count"] == counts(2, 2)


def test_a_new_operation_has_no_counts(rocketchat: RocketChatClient) -> None:
    answer = rocketchat.post("import.new").json()
    operation = answer["operation"]
    assert answer["success"] is True
    assert (operation["status"], operation["type"], operation["valid"]) == ("importer_new", "api", True)
    assert "count" not in operation


def test_added_users_are_counted_up(rocketchat: RocketChatClient) -> None:
    rocketchat.post("import.new")
    for _ in range(2):
        rocketchat.post("import.addUsers", {"users": USERS})
    assert rocketchat.status()["state"] == "ready"
    assert rocketchat.status()["operation"]["count"] == {"total": 4, "users": 4}


def test_an_empty_list_of_users_changes_nothing(rocketchat: RocketChatClient) -> None:
    rocketchat.post("import.new")
    assert rocketchat.post("import.addUsers", {"users": []}).status_code == 200
    assert rocketchat.step() == "importer_new"


@pytest.mark.parametrize(
    ("user", "error"),
    [
        ({"emails": [], "importIds": ["1"]}, "Users are missing required data."),
        ({"emails": ["a@x.example"], "importIds": [""]}, "Users are missing required data."),
        (
            {"emails": ["a@x.example"], "importIds": ["1"], "roles": ["emperor"]},
            "One or more of the users have been assigned invalid roles.",
        ),
    ],
)
def test_users_that_cannot_be_imported_are_refused(rocketchat: RocketChatClient, user: Any, error: str) -> None:
    rocketchat.post("import.new")
    answer = rocketchat.post("import.addUsers", {"users": [user]})
    assert (answer.status_code, answer.json()) == (400, {"success": False, "error": error})


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (at(50), "The current import operation can not receive new data."),
        (at(100), "The current import operation is already finished."),
    ],
)
def test_users_come_too_late(sandbox: Sandbox, rocketchat: RocketChatClient, script: Any, error: str) -> None:
    create(sandbox, script, "api")
    assert rocketchat.post("import.addUsers", {"users": USERS}).json() == {"success": False, "error": error}


@pytest.mark.parametrize("is_cleared", [True, False])
def test_users_need_a_valid_operation(rocketchat: RocketChatClient, is_cleared: bool) -> None:
    if is_cleared:
        rocketchat.post("import.new")
        rocketchat.post("import.clear")
    answer = rocketchat.post("import.addUsers", {"users": USERS})
    assert answer.json()["error"] == "Import operation not initialized."


def test_an_import_without_users_cannot_run(rocketchat: RocketChatClient) -> None:
    assert rocketchat.post("import.run").json() == {"success": False, "error": "error-operation-not-found"}
    rocketchat.post("import.new")
    assert rocketchat.post("import.run").json() == {"success": False, "error": "error-invalid-operation-status"}


def test_messages_of_a_file_are_imported_with_its_users(instant_rocketchat: RocketChatClient) -> None:
    instant_rocketchat.upload(archive(users="jdoe,jdoe@x.example,John\n", general__2025="jdoe,1,Hello\njdoe,2,Bye\n"))
    instant_rocketchat.get("getImportFileData")
    instant_rocketchat.post("import.run")
    assert instant_rocketchat.progress()["count"] == counts(3, 3)


def test_users_are_counted_once_or_twice_depending_on_the_start(instant_rocketchat: RocketChatClient) -> None:
    instant_rocketchat.upload(b"username,email\njdoe,jdoe@x.example\n", "slack-users")
    instant_rocketchat.get("getImportFileData")
    instant_rocketchat.post("import.run")
    once = instant_rocketchat.progress()["count"]
    instant_rocketchat.get("getImportFileData")
    instant_rocketchat.post("startImport", {"input": {"users": {"all": True}}})
    assert (once, instant_rocketchat.progress()["count"]) == (counts(1, 1), counts(2, 1))


# Files


def test_an_import_of_a_file_waits_for_each_call(
    instant_sandbox: Sandbox, instant_rocketchat: RocketChatClient
) -> None:
    assert instant_rocketchat.upload(PEOPLE).json() == {"success": True}
    steps = [instant_rocketchat.step()]
    instant_rocketchat.get("getImportFileData")
    steps.append(instant_rocketchat.step())
    everything = {name: {"all": True} for name in ("users", "channels", "contacts")}
    assert instant_rocketchat.post("startImport", {"input": everything}).json() == {"success": True}
    assert [*steps, instant_rocketchat.step()] == [
        "importer_file_loaded",
        "importer_user_selection",
        "importer_done",
    ]
    assert instant_rocketchat.progress()["count"] == counts(10, 8)
    assert instant_sandbox.imports()[0]["file_name"] == "people.csv"


def test_an_uploaded_file_has_a_name_of_its_own_on_the_server(rocketchat: RocketChatClient) -> None:
    rocketchat.upload(PEOPLE)
    operation = rocketchat.get("getCurrentImportOperation").json()["operation"]
    assert operation["file"].endswith(f"_{rocketchat.headers['X-User-Id']}_people.csv")
    assert operation["contentType"] == "text/csv"


def test_the_data_of_a_file_can_be_selected(rocketchat: RocketChatClient) -> None:
    rocketchat.upload(PEOPLE)
    data = rocketchat.get("getImportFileData").json()
    assert (data["name"], data["message_count"], data["success"]) == ("CSV", 3, True)
    assert data["users"][0] == {
        "user_id": "jdoe",
        "username": "jdoe",
        "email": "jdoe@x.example",
        "is_deleted": False,
        "is_bot": False,
        "do_import": True,
        "is_email_taken": False,
    }
    assert [(one["channel_id"], one["is_private"]) for one in data["channels"]] == [("general", False), ("board", True)]
    assert data["contacts"] == [
        {"id": "c1", "name": "Carla", "emails": ["a@x.example", "b@x.example"], "phones": ["+33 1"], "do_import": True}
    ]


def test_counts_end_with_the_last_flush_if_not_all_is_selected(instant_rocketchat: RocketChatClient) -> None:
    instant_rocketchat.upload(PEOPLE)
    instant_rocketchat.get("getImportFileData")
    instant_rocketchat.post("startImport", {"input": {"channels": {"list": ["board", "unknown"]}}})
    assert instant_rocketchat.step() == "importer_done"
    assert instant_rocketchat.progress()["count"] == counts(0, 8)


@pytest.mark.parametrize(
    ("importer", "file", "users", "contacts"),
    [
        ("slack-users", b"username,email\njdoe,jdoe@x.example\n", ["jdoe"], []),
        ("omnichannel_contact", b"id,emails,phones,name\nc1,,,Carla\n", [], ["c1"]),
    ],
)
def test_some_importers_read_a_plain_csv_file(
    rocketchat: RocketChatClient, importer: str, file: bytes, users: list[str], contacts: list[str]
) -> None:
    rocketchat.upload(file, importer)
    data = rocketchat.get("getImportFileData").json()
    assert [one["user_id"] for one in data["users"]] == users
    assert [one["id"] for one in data["contacts"]] == contacts


def test_an_export_of_slack_is_an_archive_of_json(rocketchat: RocketChatClient) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("users.json", '[{"id": "U1", "name": "jdoe", "profile": {"email": "jdoe@x.example"}}]')
        made.writestr("channels.json", '[{"id": "C1", "name": "general"}]')
        made.writestr("general/2025-01-01.json", '[{"text": "Hello"}, {"text": "Bye"}]')
    rocketchat.upload(content.getvalue(), "slack")
    data = rocketchat.get("getImportFileData").json()
    assert ([one["user_id"] for one in data["users"]], data["message_count"]) == (["U1"], 2)


@pytest.mark.parametrize(
    "file",
    [
        archive(users=""),
        archive(users="jdoe\n"),
        archive(____MACOSX__users="a,b,c\n"),
        b"username,email\n",
        b"",
        archive(users="a,b,c\n").replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
        archive(users="a,b,c\n").replace(b"a,b,c", b"a,b,d"),
    ],
    ids=["empty", "columns missing", "only what macOS adds", "no archive", "nothing", "encrypted", "damaged"],
)
def test_a_file_without_a_valid_record_fails_in_preparation(rocketchat: RocketChatClient, file: bytes) -> None:
    rocketchat.upload(file)
    answer = rocketchat.get("getImportFileData")
    assert (answer.status_code, answer.json()["errorType"]) == (400, "error-import-file-format-invalid")
    assert rocketchat.step() == "importer_import_failed"


@pytest.mark.parametrize(
    "users", ["[" * 100_000, '[{"id": "U1", "name": "jdoe", "profile": null}]', '[{"name": "jdoe"}]', "{}"]
)
def test_an_export_of_slack_that_is_not_as_it_should_be_fails_in_preparation(
    rocketchat: RocketChatClient, users: str
) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        made.writestr("users.json", users)
    rocketchat.upload(content.getvalue(), "slack")
    assert refused(rocketchat.get("getImportFileData"))[2] == "error-import-file-format-invalid"


def test_a_file_may_come_without_padding(rocketchat: RocketChatClient) -> None:
    content = base64.b64encode(archive(users="a,b,c\n")).decode()
    assert content.endswith("=")
    body = {"binaryContent": content.rstrip("="), "contentType": "", "fileName": "a.zip", "importerKey": "csv"}
    rocketchat.post("uploadImportFile", body)
    assert rocketchat.get("getImportFileData").status_code == 200


@pytest.mark.parametrize("script", [at(100), failed_at(50)], ids=["done", "failed"])
def test_a_request_for_the_data_takes_a_finished_import_back(
    sandbox: Sandbox, rocketchat: RocketChatClient, script: Any
) -> None:
    create(sandbox, {**script, "records": 10})
    assert len(rocketchat.get("getImportFileData").json()["users"]) == 4
    assert rocketchat.step() == "importer_user_selection"


def test_the_data_needs_an_operation(rocketchat: RocketChatClient) -> None:
    assert refused(rocketchat.get("getImportFileData"))[2] == "error-operation-not-found"


@pytest.mark.parametrize("key", ["hipchat", "api", "pending-files"])
def test_an_importer_that_reads_no_files_is_refused_and_creates_nothing(rocketchat: RocketChatClient, key: str) -> None:
    assert refused(rocketchat.upload(PEOPLE, key)) == (
        400,
        f"The importer ({key}) has no import class defined. [error-importer-not-defined]",
        "error-importer-not-defined",
    )
    assert rocketchat.status()["state"] == "none"


def test_a_download_takes_its_time_and_fetches_nothing(rocketchat: RocketChatClient) -> None:
    body = {"fileUrl": "https://files.example/export.zip?signature=secret", "importerKey": "csv"}
    assert rocketchat.post("downloadPublicImportFile", body).json() == {"success": True}
    assert rocketchat.step() == "importer_downloading_file"
    assert rocketchat.get("getImportFileData").json() == {"waiting": True, "success": True}
    assert rocketchat.status()["operation"]["file"].endswith("_export.zip")


def test_a_download_is_loaded_at_its_end(instant_rocketchat: RocketChatClient) -> None:
    body = {"fileUrl": "https://files.example/export.zip", "importerKey": "csv"}
    instant_rocketchat.post("downloadPublicImportFile", body)
    assert instant_rocketchat.step() == "importer_file_loaded"
    assert len(instant_rocketchat.get("getImportFileData").json()["users"]) == 400


def test_a_download_without_a_url_is_refused(rocketchat: RocketChatClient) -> None:
    answer = rocketchat.post("downloadPublicImportFile", {"fileUrl": "/tmp/export.zip", "importerKey": "csv"})  # noqa: S108
    assert refused(answer)[2] == "error-import-file-missing"


def test_the_data_of_an_interrupted_download_is_refused(rocketchat: RocketChatClient) -> None:
    body = {"fileUrl": "https://files.example/export.zip", "importerKey": "csv"}
    rocketchat.post("downloadPublicImportFile", body)
    rocketchat.post("import.clear")
    assert refused(rocketchat.get("getImportFileData"))[2] == "error-import-operation-invalid"


@pytest.mark.parametrize("path", ["downloadPendingFiles", "downloadPendingAvatars"])
def test_pending_downloads_start_at_once(rocketchat: RocketChatClient, path: str) -> None:
    assert rocketchat.post(path, {}).json() == {"count": 120, "success": True}
    assert rocketchat.step() == "importer_importing_files"
    assert rocketchat.status()["operation"]["count"] == {"total": 120, "messages": 120, "completed": 0, "error": 0}


def test_with_nothing_left_to_download_an_import_is_done_at_once(instant_sandbox: Sandbox) -> None:
    rocketchat = RocketChatClient(instant_sandbox)
    rocketchat.post("downloadPendingFiles", {})
    assert rocketchat.post("downloadPendingFiles", {}).json()["count"] == 0
    assert (rocketchat.step(), rocketchat.progress()["count"]) == ("importer_done", counts(0, 0))


def test_files_that_a_cancelled_download_did_not_process_are_left(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    rocketchat.post("downloadPendingAvatars", {})
    sandbox.change("rocketchat", cancel=True)
    assert rocketchat.post("downloadPendingAvatars", {}).json()["count"] == 120


def test_starting_an_invalid_import_ends_it(rocketchat: RocketChatClient) -> None:
    rocketchat.post("import.new")
    rocketchat.post("import.clear")
    rocketchat.post("startImport", {"input": {}})
    assert (rocketchat.step(), rocketchat.status()["operation"]["valid"]) == ("importer_done", False)


# Changes of the server


def test_a_restart_leaves_the_status_of_a_running_import_for_ever(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    create(sandbox, at(20))
    assert events(sandbox, restart=True).status_code == 204
    status = rocketchat.status()
    assert (rocketchat.step(), status["state"]) == ("importer_importing_users", "error")
    assert (status["operation"]["status"], status["operation"]["valid"]) == ("importer_importing_users", False)


def test_a_restart_spares_a_last_import_that_waits_for_a_selection(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    rocketchat.post("import.new")
    rocketchat.post("import.addUsers", {"users": USERS})
    events(sandbox, restart=True)
    assert rocketchat.status()["state"] == "ready"


def test_a_restart_invalidates_a_finished_import_that_stays_done(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    create(sandbox, at(100))
    events(sandbox, restart=True)
    assert (rocketchat.status()["state"], rocketchat.status()["operation"]["valid"]) == ("done", False)


def test_an_import_that_a_restart_killed_ends_when_it_is_started_again(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    create(sandbox, at(20))
    events(sandbox, restart=True)
    rocketchat.post("startImport", {"input": {}})
    assert (rocketchat.step(), rocketchat.status()["operation"]["valid"]) == ("importer_done", False)


def test_an_import_can_be_cancelled(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(23))
    sandbox.change("rocketchat", cancel=True)
    assert rocketchat.progress()["count"] == counts(200, 1000)
    assert (rocketchat.step(), rocketchat.status()["state"]) == ("importer_import_cancelled", "canceled")
    assert sandbox.imports()[0]["progress"] == -1


def test_a_cancelled_import_gives_no_scripted_answers_any_more(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, {"answers": [{"step": "importer_done"}]})
    sandbox.change("rocketchat", cancel=True)
    assert (rocketchat.step(), rocketchat.status()["state"]) == ("importer_import_cancelled", "canceled")


@pytest.mark.parametrize("path", OLDER)
def test_an_old_server_lacks_the_newer_endpoints(sandbox: Sandbox, rocketchat: RocketChatClient, path: str) -> None:
    events(sandbox, before_6_3=True)
    assert rocketchat.get("getLatestImportOperations").status_code == 200
    method = rocketchat.get if path == "import.status" else rocketchat.post
    assert method(path).status_code == 404


def test_an_old_server_reports_times_as_numbers(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, at(20))
    iso = rocketchat.get("getCurrentImportOperation").json()["operation"]["ts"]
    events(sandbox, before_6_3=True)
    milliseconds = rocketchat.get("getCurrentImportOperation").json()["operation"]["ts"]
    assert milliseconds == pytest.approx(datetime.fromisoformat(iso).timestamp() * 1000, abs=1)


def test_an_old_server_counts_nothing_while_it_imports(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    events(sandbox, before_6_3=True)
    create(sandbox, at(50))
    assert rocketchat.progress()["count"] == {"completed": 0, "total": 0}
    create(sandbox, at(100), "omnichannel_contact")
    assert rocketchat.progress()["count"] == {"completed": 1000, "total": 1000}


def test_an_old_server_has_a_shorter_answer_without_a_login(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    events(sandbox, before_6_3=True)
    assert rocketchat.get("me", headers={}).json() == {"status": "error", "message": NOT_LOGGED_IN}


def test_an_old_server_ignores_a_selection_without_an_id(
    instant_sandbox: Sandbox, instant_rocketchat: RocketChatClient
) -> None:
    instant_sandbox.change("rocketchat", before_6_3=True)
    create(instant_sandbox, at(100, records=10))
    selection = {"users": [{"user_id": [], "do_import": True}]}
    assert instant_rocketchat.post("startImport", {"input": selection}).status_code == 200


def test_an_old_server_takes_lists_to_select(instant_sandbox: Sandbox, instant_rocketchat: RocketChatClient) -> None:
    instant_sandbox.change("rocketchat", before_6_3=True)
    instant_rocketchat.upload(archive(users="jdoe,jdoe@x.example,John\nasmith,asmith@x.example,Ann\n"))
    data = instant_rocketchat.get("getImportFileData").json()
    data["users"][0]["do_import"] = False
    assert instant_rocketchat.post("startImport", {"input": {"users": data["users"]}}).status_code == 200
    # Expect 2: one of the two users is selected and counted twice.
    assert instant_rocketchat.progress()["count"] == {"completed": 2, "total": 2}


@pytest.mark.parametrize("path", ["getImportProgress", "getImportFileData"])
def test_an_import_whose_importer_is_gone_has_no_progress(
    sandbox: Sandbox, rocketchat: RocketChatClient, path: str
) -> None:
    create(sandbox, at(100), "slack")
    events(sandbox, importers=["csv"])
    answer = rocketchat.get(path)
    assert refused(answer) == (
        400,
        "The importer (slack) has no import class defined. [error-importer-not-defined]",
        "error-importer-not-defined",
    )
    assert answer.json()["details"] == path
    assert rocketchat.status()["state"] == "done"
    assert rocketchat.get("importers.list").json() == [{"key": "csv", "name": "CSV"}]


def test_a_reset_makes_the_server_new(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    events(sandbox, before_6_3=True, permissions=[])
    sandbox.reset()
    assert rocketchat.status() == {"state": "none", "success": True}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"restart": False}, "restart"),
        ({"before_6_3": 1}, "before_6_3"),
        ({"totp_code": ""}, "totp_code"),
        ({"permissions": ["admin"]}, "permissions"),
        ({"permissions": "run-import"}, "permissions"),
        ({"importers": ["hipchat"]}, "importers"),
        ({"restrat": True}, "restrat"),
        ({"cancel": True}, "cancel"),
    ],
)
def test_a_wrong_change_is_refused_with_the_field(sandbox: Sandbox, changes: Any, field: str) -> None:
    answer = events(sandbox, **changes)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_vendor_without_changes_refuses_them(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidInputError, match="vendor: lucca has nothing to change"):
        sandbox.change("lucca", restart=True)


def test_a_change_of_an_unknown_vendor_is_refused(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.url}/_sandbox/nobody", json={}, timeout=5)
    assert (answer.status_code, answer.json()["field"]) == (400, "vendor")


# Scripted answers


def test_scripted_answers_are_given_literally(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    as_in_the_documents = {
        "step": "importer_user_selection",
        "count": {"completed": "0", "total": "0"},
        "success": "true",
    }
    create(sandbox, {"answers": [as_in_the_documents, "oops"]})
    assert [rocketchat.progress() for _ in range(2)] == [as_in_the_documents, "oops"]


def test_a_status_reports_the_scripted_answer(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    answer = {"step": "importer_done", "count": {"completed": "9", "total": "8"}, "success": "true"}
    create(sandbox, {"answers": [answer, "oops"]})
    status = rocketchat.status()
    assert (status["state"], status["success"]) == ("done", "true")
    assert (status["operation"]["status"], status["operation"]["count"]) == (answer["step"], answer["count"])
    assert rocketchat.status() == "oops"


def test_a_scripted_answer_without_a_step_is_the_whole_status(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    create(sandbox, {"answers": [{"success": False, "error": "odd"}]})
    assert rocketchat.status() == {"success": False, "error": "odd"}


@pytest.mark.parametrize("step", ["importer_importing_dreams", 5, ["importer_done"]])
def test_an_unknown_step_has_no_state(sandbox: Sandbox, rocketchat: RocketChatClient, step: Any) -> None:
    create(sandbox, {"answers": [{"step": step}]})
    status = rocketchat.status()
    assert (status["operation"]["status"], "state" in status) == (step, False)


def test_the_list_of_operations_does_not_use_up_scripted_answers(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    create(sandbox, {"answers": [{"step": "importer_new"}, {"step": "importer_done"}]})
    for _ in range(2):
        listed = rocketchat.get("getLatestImportOperations").json()
        assert listed[0]["status"] == "importer_new"
    assert rocketchat.step() == "importer_new"


@pytest.mark.parametrize(
    ("answer", "progress"),
    [
        ({"step": "importer_done"}, 100),
        ({"step": "importer_import_cancelled"}, -1),
        ({"step": "importer_importing_users", "count": {"completed": "50", "total": "200"}}, 25),
        ({"step": "importer_importing_users", "count": None}, 0),
        ({"step": "importer_importing_users", "count": {"completed": 1, "total": 10**400}}, 0),
        ({"step": "importer_importing_dreams"}, None),
        ("oops", None),
    ],
)
def test_the_control_api_reads_scripted_answers(
    sandbox: Sandbox, rocketchat: RocketChatClient, answer: Any, progress: float | None
) -> None:
    create(sandbox, {"answers": [answer]})
    rocketchat.progress()
    assert sandbox.imports()[0]["progress"] == progress


# Requests


@pytest.mark.parametrize("path", ["getImportProgress", "import.status", "getCurrentImportOperation"])
def test_questions_are_recorded_with_the_operation_they_are_about(
    sandbox: Sandbox, rocketchat: RocketChatClient, path: str
) -> None:
    create(sandbox, at(0))
    import_id = create(sandbox, at(0))
    rocketchat.get(path)
    assert [request["path"] for request in sandbox.requests(import_id)] == [f"/api/v1/{path}"]


def test_a_fault_can_hit_the_questions_about_one_operation(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    import_id = create(sandbox, at(0))
    sandbox.add_fault({"status": 503}, import_id=import_id)
    assert [rocketchat.get("getImportProgress").status_code for _ in range(2)] == [503, 200]
