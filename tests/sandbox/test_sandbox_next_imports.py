# SPDX-License-Identifier: Apache-2.0
"""The scripts of imports that clients will start."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox
from tests.support.sandbox_client import LEAVES, USER_LOCATIONS, LuccaClient, RocketChatClient

CREATE = {"create": "true", "overrideUserLocations": "false"}
UNREADABLE = b"\xff"


def upload(lucca: LuccaClient, file_name: str = "leaves.csv") -> str:
    """Start an import of leaves, and return its id."""
    return str(lucca.upload(LEAVES, UNREADABLE, originalFileName=file_name).json()["summaryId"])


def progress(lucca: LuccaClient, summary_id: str, polls: int = 1) -> list[Any]:
    return [lucca.leave_progress(summary_id).json() for _ in range(polls)]


def test_the_next_import_of_a_client_has_the_script_and_the_returned_id(sandbox: Sandbox, lucca: LuccaClient) -> None:
    summary_id = sandbox.script_next_import("lucca", "leave", {"answers": [0, 57, "oops", 100]})
    assert upload(lucca) == summary_id
    assert progress(lucca, summary_id, polls=5) == [0, 57, "oops", 100, 100]


def test_it_is_scripted_over_http(sandbox: Sandbox, lucca: LuccaClient) -> None:
    body = {
        "vendor": "lucca",
        "kind": "leave",
        "import_id": "mine",
        "script": {"answers": [57]},
        "file_name_contains": "leaves",
    }
    answer = requests.post(f"{sandbox.url}/_sandbox/next_imports", json=body, timeout=5)
    assert (answer.status_code, answer.json()) == (201, {"import_id": "mine"})
    assert progress(lucca, upload(lucca)) == [57]


def test_it_does_not_exist_before_it_is_started(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.script_next_import("lucca", "leave", import_id="mine")
    assert (sandbox.imports(), lucca.leave_progress("mine").status_code) == ([], 404)
    upload(lucca)
    assert [one["import_id"] for one in sandbox.imports()] == ["mine"]


def test_a_duration_begins_with_the_start(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.script_next_import("lucca", "leave", {"points": [[0, 12]]})
    assert progress(lucca, upload(lucca)) == [12]


def test_without_a_script_it_succeeds_whatever_its_file(instant_sandbox: Sandbox, instant_lucca: LuccaClient) -> None:
    instant_sandbox.script_next_import("lucca", "leave")
    answer = instant_lucca.upload(LEAVES, UNREADABLE).json()
    assert answer["hasError"] is False
    assert progress(instant_lucca, answer["summaryId"]) == [100]


def test_a_script_is_for_one_import(sandbox: Sandbox, lucca: LuccaClient) -> None:
    for number in (11, 22):
        sandbox.script_next_import("lucca", "leave", {"answers": [number]})
    assert [progress(lucca, upload(lucca)) for _ in range(3)] == [[11], [22], [-1]]


def test_it_can_be_chosen_by_a_part_of_the_file_name(sandbox: Sandbox, lucca: LuccaClient) -> None:
    for number in (11, 22):
        sandbox.script_next_import("lucca", "leave", {"answers": [number]}, file_name_contains=str(number))
    names = ("22.csv", "33.csv", "2026-11.csv")
    assert [progress(lucca, upload(lucca, name)) for name in names] == [[22], [-1], [11]]


def test_an_import_of_another_kind_or_of_the_control_api_does_not_take_it(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.script_next_import("lucca", "leave", {"answers": [57]}, "mine")
    assert lucca.upload(USER_LOCATIONS, UNREADABLE, **CREATE).json()["summaryId"] != "mine"
    assert sandbox.create_import("lucca", "leave") != "mine"
    assert upload(lucca) == "mine"


def test_user_locations_keep_the_results_of_their_file(instant_sandbox: Sandbox, instant_lucca: LuccaClient) -> None:
    instant_sandbox.script_next_import("lucca", "user_location", {"answers": [{"progress": 100}]}, "mine")
    file = "login;workLocationName;date;position\nada;Paris;2026-02-01;FullDay\n"
    instant_lucca.upload(USER_LOCATIONS, file, **CREATE)
    instant_lucca.user_locations("progress", "mine")
    results = instant_lucca.user_locations("results", "mine").json()
    assert (results["summaryId"], results["userLocationsCreatedSummary"]["count"]) == ("mine", 1)


def test_user_locations_can_have_scripted_results(instant_sandbox: Sandbox, instant_lucca: LuccaClient) -> None:
    instant_sandbox.script_next_import("lucca", "user_location", {"results": {"errorLines": []}}, "mine")
    instant_lucca.upload(USER_LOCATIONS, UNREADABLE, **CREATE)
    assert instant_lucca.user_locations("results", "mine").json() == {"errorLines": []}


def test_an_import_of_rocketchat_follows_its_script_once_it_runs(
    sandbox: Sandbox, rocketchat: RocketChatClient
) -> None:
    answers = [{"step": "importer_importing_users"}, {"step": "importer_import_failed"}]
    operation_id = sandbox.script_next_import("rocketchat", "slack-users", {"answers": answers})
    rocketchat.upload(b"username,email,name\njdoe,jdoe@x.example,John Doe\n", "slack-users")
    assert rocketchat.status()["operation"]["_id"] == operation_id
    assert (rocketchat.step(), sandbox.imports()[0]["progress"]) == ("importer_file_loaded", 0)
    rocketchat.get("getImportFileData")
    assert rocketchat.step() == "importer_user_selection"
    rocketchat.post("startImport", {"input": {"users": {"all": True, "list": []}}})
    assert [rocketchat.step(), rocketchat.status()["state"]] == ["importer_importing_users", "error"]


def test_an_import_of_rocketchat_without_a_file_can_be_scripted(sandbox: Sandbox, rocketchat: RocketChatClient) -> None:
    operation_id = sandbox.script_next_import("rocketchat", "pending-files", {"fail_at": 0})
    rocketchat.post("downloadPendingFiles", {})
    status = rocketchat.status()
    assert (status["operation"]["_id"], status["state"]) == (operation_id, "error")


@pytest.mark.parametrize(("kind", "cluster"), [("cloud", {"clusterId": "in01-sandbox"}), ("milvus", {})])
def test_a_job_of_zilliz_can_be_scripted(sandbox: Sandbox, kind: str, cluster: dict[str, str]) -> None:
    script = {"fail_at": 0, "reason": "no such collection"}
    job_id = sandbox.script_next_import("zilliz", kind, script, file_name_contains="2.parquet")

    def post(operation: str, **body: Any) -> Any:
        url = f"{sandbox.url}/v2/vectordb/jobs/import/{operation}"
        headers = {"Authorization": "Bearer sandbox-zilliz-key"}
        return requests.post(url, json={**cluster, **body}, headers=headers, timeout=5).json()["data"]

    files = "files" if kind == "milvus" else "objectUrls"
    created = post("create", collectionName="articles", **{files: [["s3://bucket/2.parquet"]]})
    assert created == {"jobId": job_id}
    job = post("describe", jobId=job_id)
    assert (job["collectionName"], job["state"], job["reason"]) == ("articles", "Failed", "no such collection")


def test_an_import_of_leadsy_can_be_scripted(sandbox: Sandbox) -> None:
    code = sandbox.script_next_import("leadsy", "lead", {"points": [[0, 50]], "records": 8})
    headers = {"Authorization": "Bearer sandbox-leadsy-token"}
    files = {"file": ("people.csv", "email,name\nada@example.com,Ada\n", "text/csv")}
    answer = requests.post(f"{sandbox.url}/api/v1/import", files=files, headers=headers, timeout=5)
    file = answer.json()["import_file"]
    assert (file["import_code"], file["processed_records"], file["total_records"]) == (code, 4, 8)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "leave"}, "vendor"),
        ({"vendor": "lucca", "kind": "users"}, "kind"),
        ({"vendor": "lucca", "kind": "leave", "import_id": ""}, "import_id"),
        ({"vendor": "lucca", "kind": "leave", "script": {"fail_at": "60"}}, "script.fail_at"),
        ({"vendor": "lucca", "kind": "leave", "script": {"results": {}}}, "script.results"),
        ({"vendor": "lucca", "kind": "leave", "file_name_contains": ""}, "file_name_contains"),
        ({"vendor": "lucca", "kind": "leave", "file_name": "x"}, "file_name"),
    ],
)
def test_a_wrong_field_is_refused_with_its_name(sandbox: Sandbox, body: Any, field: str) -> None:
    answer = requests.post(f"{sandbox.url}/_sandbox/next_imports", json=body, timeout=5)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_an_id_can_be_that_of_one_import_only(sandbox: Sandbox) -> None:
    sandbox.create_import("lucca", "leave", import_id="old")
    sandbox.script_next_import("lucca", "leave", import_id="next")
    with pytest.raises(InvalidInputError, match="import_id: exists already"):
        sandbox.script_next_import("lucca", "leave", import_id="old")
    for method in (sandbox.script_next_import, sandbox.create_import):
        with pytest.raises(InvalidInputError, match="import_id: is that of a next import already"):
            method("lucca", "leave", import_id="next")


def test_reset_removes_it(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.script_next_import("lucca", "leave", import_id="mine")
    sandbox.reset()
    assert upload(lucca) != "mine"


def test_one_that_is_withdrawn_is_not_started(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.script_next_import("lucca", "leave", import_id="mine")
    sandbox.script_next_import("lucca", "leave", import_id="other")
    assert sandbox.withdraw_next_import("lucca", "mine")
    assert upload(lucca) == "other"


def test_one_that_was_started_cannot_be_withdrawn(sandbox: Sandbox, lucca: LuccaClient) -> None:
    import_id = sandbox.script_next_import("lucca", "leave")
    upload(lucca)
    assert not sandbox.withdraw_next_import("lucca", import_id)
