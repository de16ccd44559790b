# SPDX-License-Identifier: Apache-2.0
"""The simulated Lucca over HTTP, as its documents describe the real one."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import Sandbox
from tests.support.sandbox_client import API_KEY, LEAVES, USER_LOCATIONS, LuccaClient

LEAVE_HEADER = (
    "legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved"
)
GOOD_LEAVE = "Lucca FR;M0029;Bart;Maud;1218;01/09/2025;AM;05/09/2025;PM;true"
LOCATION_HEADER = "login;workLocationName;areaName;date;position;comment;isDeletion"
GOOD_LOCATION = "jdupont;Paris;Service Client;2025/09/18;FullDay;;false"
CREATE = {"create": "true", "overrideUserLocations": "false"}


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def import_leaves(lucca: LuccaClient, *rows: str, **query: str) -> dict[str, Any]:
    answer = lucca.upload(LEAVES, lines(LEAVE_HEADER, *rows), **{"async": "true", **query})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def import_user_locations(lucca: LuccaClient, *rows: str, create: str = "true") -> str:
    answer = lucca.upload(USER_LOCATIONS, lines(LOCATION_HEADER, *rows), create=create, overrideUserLocations="true")
    assert answer.status_code == 200
    assert answer.json().keys() == {"summaryId"}
    return str(answer.json()["summaryId"])


# Credentials and ids


@pytest.mark.parametrize(
    "authorization",
    [None, "", API_KEY, f"Bearer {API_KEY}", f"Lucca application={API_KEY}", "lucca application=wrong"],
)
def test_only_the_documented_authorization_is_accepted(
    sandbox: Sandbox, lucca: LuccaClient, authorization: str | None
) -> None:
    summary_id = sandbox.create_import("lucca", "leave")
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = lucca.leave_progress(summary_id, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"Status": 401, "Message": "Unauthorized"})


def test_uploads_need_credentials_too(sandbox: Sandbox) -> None:
    assert requests.post(sandbox.url + LEAVES, timeout=5).status_code == 401


def test_unknown_ids_are_not_found(lucca: LuccaClient) -> None:
    not_found = (404, {"Status": 404, "Message": "Not Found"})
    for answer in (
        lucca.leave_progress("nothing"),
        lucca.user_locations("progress", "nothing"),
        lucca.user_locations("results", "nothing"),
        lucca.user_locations("analysis", "nothing"),
    ):
        assert (answer.status_code, answer.json()) == not_found


def test_an_id_is_found_only_among_its_kind(sandbox: Sandbox, lucca: LuccaClient) -> None:
    leave = sandbox.create_import("lucca", "leave")
    user_location = sandbox.create_import("lucca", "user_location")
    assert lucca.leave_progress(user_location).status_code == 404
    assert lucca.user_locations("progress", leave).status_code == 404


@pytest.mark.parametrize("what", ["progress", "results", "analysis"])
def test_a_missing_summary_id_is_a_bad_request(lucca: LuccaClient, what: str) -> None:
    answer = lucca.get(f"{USER_LOCATIONS}/{what}")
    assert (answer.status_code, answer.json()) == (400, {"Status": 400, "Message": "Bad Request"})


def test_an_id_may_need_quoting(sandbox: Sandbox, lucca: LuccaClient) -> None:
    sandbox.create_import("lucca", "leave", {"answers": [57]}, import_id="a/b?c d")
    assert lucca.leave_progress("a%2Fb%3Fc%20d").json() == 57


# Progress


def test_leave_progress_is_a_bare_integer(sandbox: Sandbox, lucca: LuccaClient) -> None:
    summary_id = sandbox.create_import("lucca", "leave", {"points": [[0, 57.9]]})
    answer = lucca.leave_progress(summary_id)
    assert (answer.text, answer.headers["Content-Type"]) == ("57", "application/json; charset=utf-8")


def test_any_negative_progress_of_a_script_is_a_failure(sandbox: Sandbox, lucca: LuccaClient) -> None:
    summary_id = sandbox.create_import("lucca", "leave", {"points": [[0, -0.5]]})
    assert lucca.leave_progress(summary_id).json() == -1


def test_user_locations_progress_is_an_object(sandbox: Sandbox, lucca: LuccaClient) -> None:
    summary_id = sandbox.create_import("lucca", "user_location", {"points": [[0, 43.9]]})
    assert lucca.user_locations("progress", summary_id).json() == {"progress": 43}


def test_a_new_import_has_not_started(lucca: LuccaClient) -> None:
    leave = import_leaves(lucca, GOOD_LEAVE)["summaryId"]
    user_location = import_user_locations(lucca, GOOD_LOCATION)
    assert lucca.leave_progress(leave).json() == 0
    assert lucca.user_locations("progress", user_location).json() == {"progress": 0}


# Leaves


def test_readable_leaves_are_imported(instant_lucca: LuccaClient) -> None:
    created = import_leaves(instant_lucca, GOOD_LEAVE, GOOD_LEAVE.replace("true", ""))
    assert created["hasError"] is False
    assert uuid.UUID(created["summaryId"])
    assert instant_lucca.leave_progress(created["summaryId"]).json() == 100


@pytest.mark.parametrize(
    "bad_leave",
    [
        GOOD_LEAVE.rpartition(";")[0],
        GOOD_LEAVE + ";more",
        GOOD_LEAVE.replace("01/09/2025", "2025-09-01"),
        GOOD_LEAVE.replace("01/09/2025", "1/9/2025"),
        GOOD_LEAVE.replace("05/09/2025", "31/09/2025"),
        GOOD_LEAVE.replace("05/09/2025", "31/08/2025"),
        GOOD_LEAVE.replace("01/09/2025;AM;05/09/2025;PM", "01/09/2025;PM;01/09/2025;AM"),
        GOOD_LEAVE.replace("AM", "morning"),
    ],
)
def test_a_leave_that_cannot_be_read_fails_the_import(instant_lucca: LuccaClient, bad_leave: str) -> None:
    created = import_leaves(instant_lucca, GOOD_LEAVE, bad_leave)
    assert created["hasError"] is False
    assert instant_lucca.leave_progress(created["summaryId"]).json() == -1


def test_an_import_with_a_bad_leave_fails_part_way(lucca: LuccaClient) -> None:
    created = import_leaves(lucca, "bad")
    assert lucca.leave_progress(created["summaryId"]).json() == 0


@pytest.mark.parametrize(
    "file", [b"", b"\xff\xfe", GOOD_LEAVE.encode(), LEAVE_HEADER.encode(), b"only;some;columns\n1;2;3\n"]
)
def test_a_leave_file_that_cannot_be_read_at_all_has_an_error(lucca: LuccaClient, file: bytes) -> None:
    created = lucca.upload(LEAVES, file).json()
    assert created["hasError"] is True
    assert lucca.leave_progress(created["summaryId"]).json() == -1


def test_a_synchronous_import_is_over_when_it_answers(lucca: LuccaClient) -> None:
    created = import_leaves(lucca, GOOD_LEAVE, **{"async": "false"})
    assert lucca.leave_progress(created["summaryId"]).json() == 100


def test_the_original_file_name_is_kept(sandbox: Sandbox, lucca: LuccaClient) -> None:
    import_leaves(lucca, GOOD_LEAVE, originalFileName="september.csv")
    import_leaves(lucca, GOOD_LEAVE)
    assert [one["file_name"] for one in sandbox.imports()] == ["september.csv", "people.csv"]


def test_a_file_name_may_have_any_letters(sandbox: Sandbox, lucca: LuccaClient) -> None:
    body = '--b\r\nContent-Disposition: form-data; name="f"; filename="congés.csv"\r\n\r\na;b\r\n--b--'
    headers = {**lucca.headers, "Content-Type": "multipart/form-data; boundary=b"}
    requests.post(lucca.url + LEAVES, data=body.encode(), headers=headers, timeout=5)
    assert sandbox.imports()[0]["file_name"] == "congés.csv"


@pytest.mark.parametrize("content_type", ["text/csv; boundary=b", "multipart/form-data"])
def test_a_body_that_is_not_multipart_is_a_bad_request(lucca: LuccaClient, content_type: str) -> None:
    headers = {**lucca.headers, "Content-Type": content_type}
    answer = requests.post(lucca.url + LEAVES, data="--b\r\n\r\na;b\r\n--b--", headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (400, {"Status": 400, "Message": "Bad Request"})


def test_a_flag_that_is_not_a_boolean_is_a_bad_request(lucca: LuccaClient) -> None:
    assert lucca.upload(LEAVES, lines(LEAVE_HEADER, GOOD_LEAVE), create="maybe").status_code == 400


# User locations


@pytest.mark.parametrize("missing", ["create", "overrideUserLocations"])
def test_user_locations_need_both_flags(lucca: LuccaClient, missing: str) -> None:
    query = {name: value for name, value in CREATE.items() if name != missing}
    answer = lucca.upload(USER_LOCATIONS, lines(LOCATION_HEADER, GOOD_LOCATION), **query)
    assert (answer.status_code, answer.json()) == (400, {"Status": 400, "Message": "Bad Request"})


def test_the_multipart_body_of_the_documents_is_understood(instant_lucca: LuccaClient) -> None:
    body = (
        "--myBoundary\r\n"
        'Content-Disposition: form-data; name="office-import.csv"; filename="office-import.csv"\r\n'
        "Content-Type: multipart/form-data\r\n"
        "\r\n"
        f"{LOCATION_HEADER}\r\n"
        "jdupont;Paris;Service Client;2025/09/18;FullDay;;false\r\n"
        "mlefevre;Nantes;B1;2025/09/19;SecondHalf;this is a comment;false\r\n"
        "--myBoundary--"
    )
    headers = {**instant_lucca.headers, "Content-Type": "multipart/form-data; boundary=myBoundary"}
    url = instant_lucca.url + USER_LOCATIONS
    summary_id = requests.post(url, params=CREATE, data=body, headers=headers, timeout=5).json()["summaryId"]
    results = instant_lucca.user_locations("results", summary_id).json()
    assert results["userLocationsCreatedSummary"]["count"] == 2


def test_results_without_errors(instant_lucca: LuccaClient) -> None:
    deletion = "jdupont;Paris;;2025-09-19;FirstHalf;;true"
    summary_id = import_user_locations(instant_lucca, GOOD_LOCATION, deletion)
    assert instant_lucca.user_locations("results", summary_id).json() == {
        "summaryId": summary_id,
        "userLocationsCreatedSummary": {
            "count": 1,
            "descriptions": ["Created user location for jdupont on 2025/09/18"],
        },
        "userLocationsDeletedSummary": {"count": 1},
        "globalErrorSummary": None,
        "errorLines": [],
        "warningLines": [],
        "errorFileUri": None,
    }


def test_an_unknown_login_is_an_error_line_of_an_import_that_succeeds(instant_lucca: LuccaClient) -> None:
    unknown = "unknown-smith;Paris;B1;2025/09/20;FullDay;hello;false"
    summary_id = import_user_locations(instant_lucca, GOOD_LOCATION, unknown)
    assert instant_lucca.user_locations("progress", summary_id).json() == {"progress": 100}
    results = instant_lucca.user_locations("results", summary_id).json()
    assert results["userLocationsCreatedSummary"]["count"] == 1
    assert results["globalErrorSummary"] == "1 errors lines detected"
    assert summary_id in results["errorFileUri"]
    assert results["errorLines"] == [
        {
            "line": {
                "login": "unknown-smith",
                "firstname": "",
                "lastname": "",
                "worklocationName": "Paris",
                "areaName": "B1",
                "date": "2025-09-20",
                "position": "FullDay",
                "comment": "hello",
                "isDeletion": False,
            },
            "lineNumber": 3,
            "error": "User doesn't exist",
        }
    ]


@pytest.mark.parametrize(
    ("bad_location", "error"),
    [
        ("jdupont;Paris", "2 columns instead of 7"),
        (GOOD_LOCATION.replace("2025/09/18", "18/09/2025"), "Invalid date"),
        (GOOD_LOCATION.replace("FullDay", "Sometimes"), "Invalid position"),
        (GOOD_LOCATION.replace("Paris", ""), "workLocationName is required"),
        (GOOD_LOCATION.replace("false", "perhaps"), "Invalid isDeletion"),
    ],
)
def test_a_location_that_cannot_be_read_is_an_error_line(
    instant_lucca: LuccaClient, bad_location: str, error: str
) -> None:
    summary_id = import_user_locations(instant_lucca, bad_location)
    results = instant_lucca.user_locations("results", summary_id).json()
    assert [line["error"] for line in results["errorLines"]] == [error]


def test_a_location_file_that_cannot_be_read_at_all_has_a_global_error(instant_lucca: LuccaClient) -> None:
    summary_id = instant_lucca.upload(USER_LOCATIONS, b"", **CREATE).json()["summaryId"]
    results = instant_lucca.user_locations("results", summary_id).json()
    assert instant_lucca.user_locations("progress", summary_id).json() == {"progress": 100}
    assert results["globalErrorSummary"].startswith("The file cannot be read")
    assert results["errorLines"] == []


def test_a_byte_order_mark_is_not_part_of_the_first_column(instant_lucca: LuccaClient) -> None:
    file = b"\xef\xbb\xbf" + lines(LOCATION_HEADER, GOOD_LOCATION).encode()
    summary_id = instant_lucca.upload(USER_LOCATIONS, file, **CREATE).json()["summaryId"]
    assert instant_lucca.user_locations("results", summary_id).json()["globalErrorSummary"] is None


def test_a_simulation_has_an_analysis_and_no_results(instant_lucca: LuccaClient) -> None:
    summary_id = import_user_locations(instant_lucca, GOOD_LOCATION, create="false")
    analysis = instant_lucca.user_locations("analysis", summary_id).json()
    assert analysis["validUserLocationsToCreateSummary"]["count"] == 1
    assert analysis["userLocationsToDeleteSummary"] == {"count": 0}
    assert instant_lucca.user_locations("results", summary_id).status_code == 404


def test_a_creation_has_results_and_no_analysis(instant_lucca: LuccaClient) -> None:
    summary_id = import_user_locations(instant_lucca, GOOD_LOCATION)
    assert instant_lucca.user_locations("analysis", summary_id).status_code == 404


def test_there_are_no_results_before_the_end(lucca: LuccaClient) -> None:
    summary_id = import_user_locations(lucca, GOOD_LOCATION)
    answer = lucca.user_locations("results", summary_id)
    assert (answer.status_code, answer.json()) == (
        400,
        {"Status": 400, "Message": "The import is not finished"},
    )


def test_there_are_results_once_the_client_was_answered_100(sandbox: Sandbox, lucca: LuccaClient) -> None:
    script = {"answers": [{"progress": 50}, {"progress": 100}], "results": {"literally": "this"}}
    summary_id = sandbox.create_import("lucca", "user_location", script)
    lucca.user_locations("progress", summary_id)
    assert lucca.user_locations("results", summary_id).status_code == 400
    lucca.user_locations("progress", summary_id)
    assert lucca.user_locations("results", summary_id).json() == {"literally": "this"}
