# SPDX-License-Identifier: Apache-2.0
"""The control API over HTTP and in process."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox, world
from airflow_import_progress.sandbox.script import Script
from airflow_import_progress.sandbox.simulated_import import SimulatedImport
from tests.support.sandbox_client import API_KEY, FOR_EVER, LuccaClient


def control(sandbox: Sandbox, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, f"{sandbox.url}/_sandbox{path}", json=body, timeout=5)


# Imports


def test_an_import_is_created_with_a_script(sandbox: Sandbox, lucca: LuccaClient) -> None:
    body = {"vendor": "lucca", "kind": "leave", "script": {"answers": [0, 57, "oops", 100]}}
    created = control(sandbox, "POST", "/imports", body)
    assert created.status_code == 201
    summary_id = created.json()["import_id"]
    assert [lucca.leave_progress(summary_id).json() for _ in range(5)] == [0, 57, "oops", 100, 100]


def test_an_import_may_have_a_chosen_id(sandbox: Sandbox) -> None:
    body = {"vendor": "lucca", "kind": "leave", "import_id": "mine"}
    assert control(sandbox, "POST", "/imports", body).json() == {"import_id": "mine"}


def test_imports_are_listed(sandbox: Sandbox) -> None:
    before = time.time()
    sandbox.create_import("lucca", "leave", {"fail_at": 0}, "first")
    sandbox.create_import("lucca", "user_location", {"points": [[0, 12.5]]}, "second")
    listed = control(sandbox, "GET", "/imports").json()
    assert listed == sandbox.imports()
    assert [one.pop("created_at") >= before for one in listed] == [True, True]
    assert listed == [
        {"vendor": "lucca", "kind": "leave", "import_id": "first", "progress": -1, "file_name": None},
        {
            "vendor": "lucca",
            "kind": "user_location",
            "import_id": "second",
            "progress": 12.5,
            "file_name": None,
        },
    ]


def test_the_progress_of_scripted_answers_is_the_last_one_answered(sandbox: Sandbox, lucca: LuccaClient) -> None:
    summary_id = sandbox.create_import("lucca", "user_location", {"answers": [{"progress": 7}, "garbage"]})
    seen = [sandbox.imports()[0]["progress"]]
    for _ in range(2):
        lucca.user_locations("progress", summary_id)
        seen.append(sandbox.imports()[0]["progress"])
    assert seen == [0, 7, None]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "leave"}, "vendor"),
        ({"vendor": "nobody", "kind": "leave"}, "vendor"),
        ({"vendor": "lucca"}, "kind"),
        ({"vendor": "lucca", "kind": "users"}, "kind"),
        ({"vendor": "lucca", "kind": "leave", "import_id": ""}, "import_id"),
        ({"vendor": "lucca", "kind": "leave", "script": {"fail_at": "60"}}, "script.fail_at"),
        ({"vendor": "lucca", "kind": "leave", "script": {"results": {}}}, "script.results"),
        ({"vendor": "lucca", "kind": "leave", "script": 5}, "script"),
        ({"vendor": "lucca", "kind": "leave", "skript": {}}, "skript"),
        (["lucca"], "body"),
    ],
)
def test_a_wrong_import_is_refused_with_the_field(sandbox: Sandbox, body: Any, field: str) -> None:
    answer = control(sandbox, "POST", "/imports", body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert answer.json()["error"].startswith(f"{field}: ")


def test_a_body_that_is_not_json_is_refused(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.url}/_sandbox/imports", data="{", timeout=5)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")


def test_an_id_cannot_be_used_twice(sandbox: Sandbox) -> None:
    sandbox.create_import("lucca", "leave", import_id="mine")
    with pytest.raises(InvalidInputError, match="import_id: exists already"):
        sandbox.create_import("lucca", "user_location", import_id="mine")


def test_imports_progress_by_the_clock_that_is_given() -> None:
    times = [1_760_000_000.0]
    with Sandbox(lucca_api_key=API_KEY, clock=lambda: times[-1]) as sandbox:
        summary_id = sandbox.create_import("lucca", "leave", {"duration": 3600})
        times.append(1_760_001_800.0)
        answer = LuccaClient(sandbox.url).leave_progress(summary_id)
        (imported,) = sandbox.imports()
    assert answer.json() == 50
    assert answer.headers["Date"] == "Thu, 09 Oct 2025 09:23:20 GMT"
    assert imported["created_at"] == 1_760_000_000


def test_an_import_that_was_stopped_stays_where_it_is() -> None:
    times = iter((100.0, 107.0, 160.0))
    stopped = SimulatedImport("acme", "any", "mine", Script.steady(10), clock=lambda: next(times))
    stopped.stop()
    stopped.stop()
    assert stopped.elapsed() == 7


def test_an_import_that_is_started_after_it_was_stopped_does_not_run() -> None:
    stopped = SimulatedImport("acme", "any", "mine", Script.steady(10), clock=lambda: 107.0, stopped=100.0)
    assert stopped.elapsed() == 0


# Credentials


def test_other_credentials_can_be_set(sandbox: Sandbox, lucca: LuccaClient) -> None:
    summary_id = sandbox.create_import("lucca", "leave")
    answer = control(sandbox, "PUT", "/credentials", {"vendor": "lucca", "api_key": "rotated"})
    assert answer.status_code == 204
    assert lucca.leave_progress(summary_id).status_code == 401
    sandbox.set_credentials("lucca", api_key=API_KEY)
    assert lucca.leave_progress(summary_id).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"vendor": "lucca"}, "body"),
        ({"vendor": "lucca", "api_key": ""}, "api_key"),
        ({"vendor": "lucca", "password": "x"}, "password"),
        ({"api_key": "x"}, "vendor"),
        ({"vendor": "lucca", "self": "x"}, "self"),
        ([], "body"),
    ],
)
def test_wrong_credentials_are_refused_with_the_field(sandbox: Sandbox, body: Any, field: str) -> None:
    answer = control(sandbox, "PUT", "/credentials", body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


# Requests


def test_requests_are_recorded(sandbox: Sandbox, lucca: LuccaClient) -> None:
    before = time.time()
    summary_id = sandbox.create_import("lucca", "user_location")
    lucca.user_locations("progress", summary_id)
    (recorded,) = sandbox.requests()
    assert before <= recorded["at"] <= time.time()
    assert recorded["headers"]["Accept"] == "*/*"
    described = {name: value for name, value in recorded.items() if name not in ("at", "headers")}
    assert described == {
        "method": "GET",
        "path": "/work-locations/public/api/imports/user-locations/progress",
        "query": {"summaryId": summary_id},
        "status": 200,
        "vendor": "lucca",
        "import_id": summary_id,
        "authorized": True,
    }


def test_recorded_requests_contain_no_secret(sandbox: Sandbox, lucca: LuccaClient) -> None:
    wrong = {"Authorization": "Bearer another-secret", "Cookie": "another-secret", "X-Note": API_KEY}
    lucca.leave_progress("any")
    lucca.leave_progress(API_KEY, headers=wrong, params={"key": API_KEY})
    right, other = sandbox.requests()
    assert right["headers"]["Authorization"] == "lucca application=***"
    assert (right["authorized"], other["authorized"]) == (True, False)
    answer = control(sandbox, "GET", "/requests").text.replace(f'"import_id": "{API_KEY}"', "")
    assert API_KEY not in answer
    assert "another-secret" not in answer


def test_secrets_that_were_right_before_are_not_recorded_either(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.set_credentials("lucca", api_key="second-secret")
    lucca.get(f"/{API_KEY}")
    assert sandbox.requests()[0]["path"] == "/***"
    sandbox.reset()
    lucca.get("/second-secret")
    assert sandbox.requests()[0]["path"] == "/***"


def test_a_secret_that_begins_with_another_one_is_not_recorded(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.set_credentials("lucca", api_key=f"{API_KEY}-and-more")
    lucca.get(f"/{API_KEY}-and-more")
    assert sandbox.requests()[0]["path"] == "/***"


def test_requests_can_be_chosen_by_import_and_vendor(sandbox: Sandbox, lucca: LuccaClient) -> None:
    for summary_id in ("one", "two", "one"):
        lucca.leave_progress(summary_id)
    lucca.get("/nowhere")
    assert control(sandbox, "GET", "/requests").json()["count"] == 4
    assert control(sandbox, "GET", "/requests?vendor=lucca").json()["count"] == 3
    about_one = control(sandbox, "GET", "/requests?import_id=one").json()
    assert about_one["count"] == sandbox.request_count("one") == 2
    assert about_one["requests"] == sandbox.requests("one")


def test_the_control_api_has_no_head_requests(sandbox: Sandbox) -> None:
    assert control(sandbox, "HEAD", "/imports").status_code == 405


def test_requests_to_the_control_api_are_not_recorded(sandbox: Sandbox) -> None:
    control(sandbox, "GET", "/imports")
    assert sandbox.requests() == []


def test_an_unknown_path_is_recorded_as_not_found(sandbox: Sandbox, lucca: LuccaClient) -> None:
    assert lucca.get("/nowhere").status_code == 404
    (recorded,) = sandbox.requests()
    assert (recorded["vendor"], recorded["status"]) == (None, 404)


def test_the_list_of_requests_is_bounded_and_the_count_is_not(
    lucca: LuccaClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "MAX_REQUESTS_KEPT", 3)
    sandbox.reset()
    for number in range(5):
        lucca.leave_progress(f"import-{number}")
    assert [request["import_id"] for request in sandbox.requests()] == ["import-2", "import-3", "import-4"]
    assert sandbox.request_count() == 5


# Reset


def test_reset_goes_back_to_the_start(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.create_import("lucca", "leave", import_id="mine")
    sandbox.add_fault({"status": 503}, times=None)
    sandbox.set_credentials("lucca", api_key="rotated")
    lucca.leave_progress("mine")
    assert control(sandbox, "DELETE", "").status_code == 204
    assert (sandbox.imports(), sandbox.requests(), sandbox.request_count()) == ([], [], 0)
    sandbox.create_import("lucca", "leave", import_id="mine")
    assert lucca.leave_progress("mine").json() == 0


def test_an_invalid_import_duration_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="import_duration: must be a number of at least 0"):
        Sandbox(import_duration=-FOR_EVER)
