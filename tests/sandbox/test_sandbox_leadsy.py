# SPDX-License-Identifier: Apache-2.0
"""The simulated Leadsy over HTTP, as far as documents describe the real one."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox

TOKEN = "sandbox-leadsy-token"
IMPORTS = "/api/v1/import"
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
LEADS = "email,name\nada@example.com,Ada\ngrace@example.com,Grace\nalone@example.com\n"


class LeadsyClient:
    """A client of the simulated Leadsy."""

    def __init__(self, sandbox: Sandbox, authorization: str = f"Bearer {TOKEN}") -> None:
        self.url = sandbox.url + IMPORTS
        self.headers = {"Authorization": authorization}

    def get(self, code: str | None = None) -> requests.Response:
        url = self.url if code is None else f"{self.url}/{code}"
        return requests.get(url, headers=self.headers, timeout=5)

    def file(self, code: str) -> Any:
        answer = self.get(code)
        assert answer.status_code == 200
        assert answer.json().keys() == {"import_file"}
        return answer.json()["import_file"]

    def upload(self, content: str) -> requests.Response:
        files = {"file": ("people.csv", content, "text/csv")}
        return requests.post(self.url, files=files, headers=self.headers, timeout=5)


@pytest.fixture
def leadsy(sandbox: Sandbox) -> LeadsyClient:
    return LeadsyClient(sandbox)


@pytest.fixture
def instant_leadsy(instant_sandbox: Sandbox) -> LeadsyClient:
    return LeadsyClient(instant_sandbox)


# Credentials


@pytest.mark.parametrize("authorization", ["", TOKEN, f"bearer {TOKEN}", f"Token {TOKEN}", "Bearer wrong"])
def test_only_the_bearer_token_is_accepted(sandbox: Sandbox, authorization: str) -> None:
    answer = LeadsyClient(sandbox, authorization).get()
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})


@pytest.mark.parametrize(("scheme", "authorization"), [("", TOKEN), ("JWT", f"JWT {TOKEN}")])
def test_the_scheme_of_the_authorization_can_be_changed(sandbox: Sandbox, scheme: str, authorization: str) -> None:
    sandbox.change("leadsy", auth_scheme=scheme)
    assert LeadsyClient(sandbox, authorization).get().status_code == 200
    assert LeadsyClient(sandbox).get().status_code == 401


@pytest.mark.parametrize("changes", [{}, {"auth_scheme": None}, {"auth_scheme": 1}, {"scheme": "Bearer"}])
def test_nothing_but_the_scheme_can_be_changed(sandbox: Sandbox, changes: Any) -> None:
    with pytest.raises(InvalidInputError, match="scheme"):
        sandbox.change("leadsy", **changes)


def test_the_record_of_requests_hides_the_token(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    leadsy.get()
    LeadsyClient(sandbox, TOKEN).get()
    assert [request["headers"]["Authorization"] for request in sandbox.requests()] == ["Bearer ***", "***"]


def test_the_airflow_connection_has_the_token(sandbox: Sandbox) -> None:
    connection = sandbox.airflow_connection("leadsy")
    assert (connection["conn_type"], connection["password"]) == ("leadsy", TOKEN)


# Status


def test_an_unknown_code_is_not_found(leadsy: LeadsyClient) -> None:
    answer = leadsy.get("IMP-NONE")
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


def test_codes_look_like_those_of_the_vendor(sandbox: Sandbox) -> None:
    assert re.fullmatch("IMP-[0-9A-F]{8}", sandbox.create_import("leadsy", "lead"))


def test_processing(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    script = {"points": [[0, 24]], "records": 500, "failed_records": 15}
    file = leadsy.file(sandbox.create_import("leadsy", "lead", script, import_id="IMP-7F3A"))
    assert MOMENT.fullmatch(file.pop("started_at"))
    assert urlsplit(file.pop("original_file")).path.endswith("/leads.csv")
    assert file == {
        "id": 1,
        "import_code": "IMP-7F3A",
        "status": 1,
        "status_name": "processing",
        "total_records": 500,
        "processed_records": 120,
        "failed_records": 3,
        "finished_at": None,
        "error_file": None,
        "imported_by": {"id": 7, "full_name": "Ada Lovelace", "email": "ada@leadsy.example"},
        "success_rate": 97.5,
        "company": {"id": 3},
    }


def test_pending(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    file = leadsy.file(sandbox.create_import("leadsy", "lead", {"points": [[0, 0]]}))
    assert (file["status"], file["status_name"], file["started_at"]) == (0, "pending", None)
    assert (file["processed_records"], file["success_rate"]) == (0, 0)


def test_completed(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    file = leadsy.file(sandbox.create_import("leadsy", "lead", {"duration": 0, "records": 500}))
    assert (file["status"], file["status_name"]) == (2, "completed")
    assert (file["processed_records"], file["failed_records"], file["success_rate"]) == (500, 0, 100)
    assert file["error_file"] is None
    assert MOMENT.fullmatch(file["finished_at"])


def test_completed_with_records_that_failed(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    script = {"duration": 0, "records": 500, "failed_records": 3}
    file = leadsy.file(sandbox.create_import("leadsy", "lead", script))
    assert (file["status_name"], file["processed_records"], file["failed_records"]) == ("completed", 500, 3)
    assert file["success_rate"] == 99.4
    address = urlsplit(file["error_file"])
    assert address.hostname == "files.leadsy.example"
    assert parse_qs(address.query).keys() == {"X-Amz-Expires", "X-Amz-Signature"}


def test_failed(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    script = {"duration": 0, "fail_at": 2, "records": 500, "failed_records": 500}
    file = leadsy.file(sandbox.create_import("leadsy", "lead", script))
    assert (file["status"], file["status_name"]) == (3, "failed")
    assert (file["processed_records"], file["failed_records"], file["success_rate"]) == (10, 10, 0)
    assert MOMENT.fullmatch(file["finished_at"])


def test_the_list_is_of_all_imports(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    codes = [sandbox.create_import("leadsy", "lead", script) for script in ({"duration": 0}, {"points": [[0, 50]]})]
    files = leadsy.get().json()["import_files"]
    assert [(file["id"], file["import_code"], file["status_name"]) for file in files] == [
        (1, codes[0], "completed"),
        (2, codes[1], "processing"),
    ]


# Uploads


def test_an_upload_is_answered_with_its_import_file(leadsy: LeadsyClient) -> None:
    answer = leadsy.upload(LEADS)
    assert answer.status_code == 201
    file = answer.json()["import_file"]
    assert (file["status_name"], file["total_records"], file["processed_records"]) == ("pending", 3, 0)
    assert urlsplit(file["original_file"]).path.endswith("/people.csv")
    assert leadsy.file(file["import_code"])["import_code"] == file["import_code"]


def test_lines_that_lack_columns_fail(instant_leadsy: LeadsyClient) -> None:
    code = instant_leadsy.upload(LEADS).json()["import_file"]["import_code"]
    file = instant_leadsy.file(code)
    assert (file["status_name"], file["processed_records"], file["failed_records"]) == ("completed", 3, 1)


def test_a_file_that_cannot_be_read_is_refused(leadsy: LeadsyClient) -> None:
    assert leadsy.upload("email,name\n").status_code == 422
    assert requests.post(leadsy.url, data="a,b", headers=leadsy.headers, timeout=5).status_code == 422


# The control API


@pytest.mark.parametrize(
    ("file", "progress"),
    [
        ({"status_name": "processing", "processed_records": 120, "total_records": 500}, 24),
        ({"status_name": "processing", "processed_records": 0, "total_records": 0}, None),
        ({"status_name": "Completed"}, 100),
        ({"status_name": "failed", "processed_records": 10, "total_records": 500}, -1),
        ({"status_name": "procesando"}, None),
        (None, None),
    ],
)
def test_the_progress_of_literal_answers_is_listed(
    sandbox: Sandbox, leadsy: LeadsyClient, file: Any, progress: float | None
) -> None:
    code = sandbox.create_import("leadsy", "lead", {"answers": [{"import_file": file}]})
    assert leadsy.file(code) == file
    assert sandbox.imports()[0]["progress"] == progress


def test_requests_are_counted_by_import(sandbox: Sandbox, leadsy: LeadsyClient) -> None:
    code = sandbox.create_import("leadsy", "lead")
    leadsy.get(code)
    leadsy.get()
    assert sandbox.request_count(code, vendor="leadsy") == 1
