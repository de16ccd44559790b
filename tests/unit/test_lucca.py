# SPDX-License-Identifier: Apache-2.0
"""What Lucca's answers mean, told without sending anything."""

from __future__ import annotations

import json

import pytest

from airflow_import_progress.exceptions import ImportProtocolError
from airflow_import_progress.hooks.base import VendorConnection
from airflow_import_progress.hooks.lucca import LuccaLeaveImport, LuccaUserLocationImport
from airflow_import_progress.http.exchange import Response
from airflow_import_progress.progress import ImportState

CONNECTION = VendorConnection(conn_id="lucca_default", base_url="https://acme.ilucca.net", password="key")
SUMMARY_ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def poll(import_, *answers):
    """Return the progress that a poll makes of these bodies, and the requests that it asked with."""
    conversation = import_.poll(CONNECTION)
    requests = [next(conversation)]
    try:
        for answer in answers:
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            requests.append(conversation.send(Response(status=200, headers={}, body=body, request_line="GET it")))
    except StopIteration as end:
        return end.value, requests
    pytest.fail(f"the poll asks for more than {len(answers)} answers")


def poll_leaves(answer):
    return poll(LuccaLeaveImport(SUMMARY_ID), answer)[0]


def poll_user_locations(*answers, **arguments):
    return poll(LuccaUserLocationImport(SUMMARY_ID, **arguments), *answers)[0]


SCALE = [
    (0, ImportState.PENDING, 0.0),
    (1, ImportState.RUNNING, 1.0),
    (57, ImportState.RUNNING, 57.0),
    (99, ImportState.RUNNING, 99.0),
    (100, ImportState.SUCCEEDED, 100.0),
    (-1, ImportState.FAILED, None),
]
NOT_ON_THE_SCALE = [-2, 101, 3.5, 100.0, True, False, "100", "done", None, [], [100], {}, {"progress": "100"}]


@pytest.mark.parametrize(("number", "state", "percent"), SCALE)
def test_the_progress_of_leaves_is_a_bare_integer(number, state, percent):
    progress = poll_leaves(number)
    assert (progress.state, progress.percent, progress.vendor_status) == (state, percent, number)
    assert progress.import_id == SUMMARY_ID


@pytest.mark.parametrize(("number", "state", "percent"), SCALE)
def test_the_progress_of_user_locations_is_an_object(number, state, percent):
    progress = poll_user_locations({"progress": number})
    assert (progress.state, progress.percent, progress.vendor_status) == (state, percent, number)


@pytest.mark.parametrize("answer", [*NOT_ON_THE_SCALE, {"progress": 100}, b"100.0", b"1e2"])
def test_anything_else_about_leaves_is_a_protocol_error(answer):
    with pytest.raises(ImportProtocolError, match="whole number from -1 to 100") as caught:
        poll_leaves(answer)
    assert not caught.value.transient


@pytest.mark.parametrize(
    "answer", [*({"progress": value} for value in NOT_ON_THE_SCALE), 100, "100", None, [], {}, {"Progress": 100}]
)
def test_anything_else_about_user_locations_is_a_protocol_error(answer):
    with pytest.raises(ImportProtocolError, match="where Lucca's API promises"):
        poll_user_locations(answer)


@pytest.mark.parametrize("body", [b"<html>maintenance</html>", b"", b"OK"])
def test_what_is_not_json_is_a_protocol_error_that_may_pass(body):
    with pytest.raises(ImportProtocolError) as caught:
        poll_leaves(body)
    assert caught.value.transient


def test_a_poll_asks_the_documented_addresses():
    _, (leaves,) = poll(LuccaLeaveImport(SUMMARY_ID), 5)
    assert (leaves.method, leaves.path) == (
        "GET",
        f"/timmi-absences/api/imports/v1.0/leavePeriods/{SUMMARY_ID}/progress",
    )
    _, (locations,) = poll(LuccaUserLocationImport(SUMMARY_ID), {"progress": 5})
    assert (locations.method, locations.path) == ("GET", "/work-locations/public/api/imports/user-locations/progress")
    assert locations.params == {"summaryId": SUMMARY_ID}


def test_a_hostile_identifier_stays_one_segment_of_the_path():
    _, (request,) = poll(LuccaLeaveImport("../../x?y#z"), 5)
    assert request.path.endswith("/leavePeriods/..%2F..%2Fx%3Fy%23z/progress")


RESULTS = {
    "summaryId": SUMMARY_ID,
    "userLocationsCreatedSummary": {"count": 42, "descriptions": ["Created user location for Jean Dupont"]},
    "userLocationsDeletedSummary": {"count": 2},
    "globalErrorSummary": "2 errors lines detected",
    "errorLines": [{"line": {"login": "jsmith"}, "lineNumber": 3, "error": "User doesn't exist"}],
    "warningLines": [],
    "errorFileUri": "https://example.com/imports/errors/3fa8",
}


def test_results_count_error_lines_as_failed_records():
    progress = poll_user_locations({"progress": 100}, RESULTS, check_results=True)
    assert progress.state is ImportState.SUCCEEDED
    assert (progress.failed, progress.total, progress.processed) == (1, 45, 45)
    assert progress.message == "2 errors lines detected; line 3: User doesn't exist"
    assert progress.details == {
        "created": 42,
        "deleted": 2,
        "error_lines": ["line 3: User doesn't exist"],
        "error_file": "https://example.com/imports/errors/3fa8",
    }


def test_only_the_first_error_lines_travel_along():
    lines = [{"lineNumber": n, "error": "x" * 5000} for n in range(1000)]
    progress = poll_user_locations({"progress": 100}, RESULTS | {"errorLines": lines}, check_results=True)
    assert progress.failed == 1000
    assert len(progress.details["error_lines"]) == 5
    assert len(json.dumps(progress.to_dict())) < 3000


@pytest.mark.parametrize("number", [0, 43, -1])
def test_results_are_read_only_once_the_import_is_processed(number):
    assert poll_user_locations({"progress": number}, check_results=True).vendor_status == number


def test_results_are_not_read_unless_asked_for():
    assert poll_user_locations({"progress": 100}).failed is None


def test_a_file_that_was_refused_as_a_whole_is_a_failed_import():
    results = {"errorLines": [], "globalErrorSummary": "The file cannot be read"}
    progress = poll_user_locations({"progress": 100}, results, check_results=True)
    assert (progress.state, progress.message) == (ImportState.FAILED, "The file cannot be read")


@pytest.mark.parametrize("summary", [None, "", "0 errors lines detected"])
def test_an_import_without_refused_lines_succeeds_whatever_the_summary_says(summary):
    progress = poll_user_locations(
        {"progress": 100}, RESULTS | {"errorLines": [], "globalErrorSummary": summary}, check_results=True
    )
    assert (progress.state, progress.failed) == (ImportState.SUCCEEDED, 0)


@pytest.mark.parametrize("uri", ["x" * 5000, "https://a\nb", None, 5, ""])
def test_an_address_that_is_none_does_not_travel(uri):
    progress = poll_user_locations({"progress": 100}, RESULTS | {"errorFileUri": uri}, check_results=True)
    assert "error_file" not in progress.details


@pytest.mark.parametrize("results", [{}, [], None, "fine", RESULTS | {"errorLines": None}, RESULTS | {"errorLines": 0}])
def test_results_without_error_lines_are_a_protocol_error(results):
    with pytest.raises(ImportProtocolError, match="errorLines"):
        poll_user_locations({"progress": 100}, results, check_results=True)


@pytest.mark.parametrize("summary", [None, {}, {"count": None}, {"count": "2"}, {"count": -1}, 5])
def test_without_a_count_the_total_is_unknown(summary):
    progress = poll_user_locations(
        {"progress": 100}, RESULTS | {"userLocationsDeletedSummary": summary}, check_results=True
    )
    assert (progress.failed, progress.total) == (1, None)


def test_odd_error_lines_still_count():
    progress = poll_user_locations({"progress": 100}, RESULTS | {"errorLines": ["bad", {}, None]}, check_results=True)
    assert progress.failed == 3
    assert progress.details["error_lines"] == ["bad", "line ?: no reason given", "None"]


@pytest.mark.parametrize("import_class", [LuccaLeaveImport, LuccaUserLocationImport])
@pytest.mark.parametrize("summary_id", [None, "", "None"])
def test_an_import_without_identifier_cannot_be_made(import_class, summary_id):
    with pytest.raises(ValueError, match="summary_id"):
        import_class(summary_id)


def test_an_import_is_made_again_from_what_a_trigger_stores():
    import_ = LuccaUserLocationImport(SUMMARY_ID, check_results=True)
    assert LuccaUserLocationImport(**json.loads(json.dumps(import_.to_dict()))) == import_
