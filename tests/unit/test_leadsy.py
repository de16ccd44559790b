# SPDX-License-Identifier: Apache-2.0
"""What Leadsy's answers mean, told without sending anything."""

from __future__ import annotations

import json

import pendulum
import pytest

from airflow_import_progress.exceptions import ImportProtocolError, ImportRequestError
from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Request, Response
from airflow_import_progress.progress import ImportState
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor
from airflow_import_progress.waiting.gate import Decision, Gate

CODE = "IMP-7F3A"
PERSON = {"id": 7, "full_name": "Ada Lovelace", "email": "ada@example.com"}
PROCESSING = {
    "id": 41,
    "import_code": CODE,
    "status": 1,
    "total_records": 500,
    "processed_records": 120,
    "failed_records": 3,
    "status_name": "processing",
    "started_at": "2026-02-17T21:54:09Z",
    "finished_at": None,
    "error_file": None,
    "original_file": "https://files.example/leads.csv?signature=secret",
    "imported_by": PERSON,
    "success_rate": 97.5,
    "company": {"id": 3},
}
COMPLETED = PROCESSING | {
    "status": 2,
    "processed_records": 500,
    "status_name": "completed",
    "finished_at": "2026-02-17T21:58:00Z",
    "error_file": "https://files.example/errors.csv",
    "success_rate": 99.4,
}
FAILED = COMPLETED | {
    "status": 3,
    "processed_records": 10,
    "failed_records": 10,
    "status_name": "failed",
    "error_file": None,
    "original_file": None,
    "success_rate": 0,
    "company": {},
}
OVER = "2026-02-17T21:58:00Z"


def connection(**extra):
    return VendorConnection(conn_id="leadsy_default", base_url="https://leadsy.example", password="token", extra=extra)


def poll(answer, status_map=None, connections_map=None):
    """Return the progress that a poll makes of this body."""
    conversation = LeadsyImport(CODE, status_map).poll(connection(status_map=connections_map))
    next(conversation)
    body = json.dumps(answer).encode()
    with pytest.raises(StopIteration) as end:
        conversation.send(
            Response(status=200, headers={}, body=body, request_line="GET it", secrets=connection().secrets)
        )
    return end.value.value


def poll_file(status_map=None, connections_map=None, **fields):
    """Return the progress that a poll makes of the running import with these fields changed."""
    return poll({"import_file": PROCESSING | fields}, status_map, connections_map)


def authorization(**extra):
    """Return the header that a request carries."""
    conversation = LeadsyHook().send_authenticated(Request(method="GET", path="/x"), connection(**extra))
    return next(conversation).headers["Authorization"]


# What is asked


def test_a_poll_asks_the_documented_address():
    request = next(LeadsyImport(CODE).poll(connection()))
    assert (request.method, request.path, request.params) == ("GET", f"/api/v1/import/{CODE}", {})


def test_a_hostile_code_stays_one_segment_of_the_path():
    request = next(LeadsyImport("../../x?y#z").poll(connection()))
    assert request.path == "/api/v1/import/..%2F..%2Fx%3Fy%23z"


@pytest.mark.parametrize("import_code", [None, "", "None", "..", {"import_code": CODE}])
def test_an_import_without_a_code_cannot_be_made_because_it_would_ask_for_the_list(import_code):
    with pytest.raises(ValueError, match="import_code"):
        LeadsyImport(import_code)


# What the fields mean


def test_a_running_import_has_records_times_and_rate():
    progress = poll({"import_file": PROCESSING})
    assert (progress.import_id, progress.state, progress.vendor_status) == (CODE, ImportState.RUNNING, "processing")
    assert (progress.percent, progress.total, progress.processed, progress.failed) == (24.0, 500, 120, 3)
    assert (progress.started_at, progress.finished_at) == (pendulum.datetime(2026, 2, 17, 21, 54, 9), None)
    assert progress.details == {"success_rate": 97.5}
    assert (progress.message, progress.warning) == (None, None)


def test_a_completed_import_tells_its_error_file():
    progress = poll({"import_file": COMPLETED})
    assert (progress.state, progress.percent, progress.failed) == (ImportState.SUCCEEDED, 100.0, 3)
    assert progress.finished_at == pendulum.datetime(2026, 2, 17, 21, 58)
    assert progress.details == {"error_file": "https://files.example/errors.csv", "success_rate": 99.4}


def test_a_failed_import_says_how_many_records_failed():
    progress = poll({"import_file": FAILED})
    assert (progress.state, progress.percent) == (ImportState.FAILED, 2.0)
    assert progress.message == "10 of 500 records failed"


@pytest.mark.parametrize(
    "fields", [{"failed_records": None}, {"failed_records": 0}, {"total_records": None}, {"total_records": 0}]
)
def test_a_failed_import_invents_no_reason(fields):
    assert poll_file(status_name="failed", **fields).message is None


def test_people_and_the_original_file_are_not_carried():
    assert all(
        text not in json.dumps(poll({"import_file": COMPLETED}).to_dict()) for text in ("Ada", "ada@", "leads.csv")
    )


def test_the_signature_in_an_error_files_address_is_not_carried():
    progress = poll_file(error_file="https://files.example/errors.csv?X-Amz-Signature=abc#top")
    assert progress.details["error_file"] == "https://files.example/errors.csv"


@pytest.mark.parametrize("value", [None, "", "errors.csv", 7, {"url": "https://files.example/errors.csv"}])
def test_an_error_file_without_an_address_is_left_out(value):
    assert "error_file" not in poll_file(error_file=value).details


@pytest.mark.parametrize("rate", [0, 1, 0.5, 100, -7, 12345, "97.5"])
def test_the_success_rate_is_shown_but_never_decided_on(rate):
    progress = poll({"import_file": COMPLETED | {"success_rate": rate}})
    assert progress.details["success_rate"] == float(rate)
    assert Gate(min_success_rate=99).judge(progress).decision is Decision.PASS


@pytest.mark.parametrize("rate", [None, "high", [], True])
def test_a_success_rate_that_is_no_number_is_left_out(rate):
    assert "success_rate" not in poll_file(success_rate=rate).details


def test_counts_may_be_strings():
    progress = poll_file(total_records="500", processed_records="125", failed_records="3")
    assert (progress.total, progress.processed, progress.failed, progress.percent) == (500, 125, 3, 25.0)


@pytest.mark.parametrize("value", [None, -1, 2.5, "many", True, []])
def test_an_unreadable_count_is_unknown_and_not_zero(value):
    progress = poll_file(total_records=value, processed_records=value, failed_records=value)
    assert (progress.total, progress.processed, progress.failed, progress.percent) == (None, None, None, None)


@pytest.mark.parametrize("fields", [{"total_records": 0}, {"total_records": None}, {"processed_records": None}])
def test_without_both_counts_there_is_no_percentage(fields):
    assert poll_file(**fields).percent is None


@pytest.mark.parametrize(
    "value", ["2026-02-17T22:54:09+01:00", "2026-02-17 21:54:09 UTC", "Tue, 17 Feb 2026 21:54:09 GMT", 1771365249]
)
def test_times_may_have_any_reasonable_format(value):
    assert poll_file(started_at=value).started_at == pendulum.datetime(2026, 2, 17, 21, 54, 9)


def test_a_time_that_cannot_be_read_is_unknown():
    assert poll_file(started_at="yesterday-ish").started_at is None


# What the names of statuses mean


@pytest.mark.parametrize(
    ("names", "state"),
    [
        ("pending queued waiting created uploaded on_hold scheduled", ImportState.PENDING),
        ("processing in_progress running started importing validating", ImportState.RUNNING),
        (
            "completed complete done finished success succeeded successful imported processed",
            ImportState.SUCCEEDED,
        ),
        (
            "failed failure error errored aborted rejected terminated invalid",
            ImportState.FAILED,
        ),
        ("cancelled canceled", ImportState.CANCELLED),
    ],
)
def test_the_usual_names_are_known(names, state):
    assert {name: poll_file(status_name=name).state for name in names.split()} == dict.fromkeys(names.split(), state)


@pytest.mark.parametrize("name", ["In Progress", "in-progress", "IN_PROGRESS", " in  progress ", "in - progress"])
def test_case_spaces_and_hyphens_make_no_difference_to_a_name(name):
    progress = poll_file(status_name=name)
    assert (progress.state, progress.warning) == (ImportState.RUNNING, None)


def test_the_vendors_own_name_is_told_unchanged():
    assert poll_file(status_name="In-Progress").vendor_status == "In-Progress"


@pytest.mark.parametrize("number", [0, 1, 2, 3, 100, None, "2"])
def test_the_integer_is_not_trusted(number):
    assert poll_file(status=number, status_name="completed").state is ImportState.SUCCEEDED
    assert poll_file(status=number, status_name="failed").state is ImportState.FAILED
    assert poll_file(status=number, status_name="processing").state is ImportState.RUNNING


@pytest.mark.parametrize("fields", [{"processed_records": 500}, {"finished_at": OVER}, {"success_rate": 100}])
def test_only_the_status_ends_an_import(fields):
    assert poll_file(**fields).state is ImportState.RUNNING


@pytest.mark.parametrize("fields", [{"processed_records": 0}, {"finished_at": None}, {"total_records": None}])
def test_a_completed_import_needs_nothing_but_its_status(fields):
    assert poll({"import_file": COMPLETED | fields}).state is ImportState.SUCCEEDED


@pytest.mark.parametrize("name", ["partially_completed", "Completed with errors", "partial"])
def test_a_partial_success_is_a_failure_that_says_how_to_let_it_pass(name):
    progress = poll({"import_file": COMPLETED | {"status_name": name}})
    key = name.lower().replace(" ", "_")
    assert progress.state is ImportState.FAILED
    assert progress.message == (
        f"3 of 500 records failed; to let such an import pass, set "
        f'status_map={{"{key}": "succeeded"}} and max_failed_records'
    )


def test_a_partial_success_passes_up_to_the_limit_if_it_is_mapped():
    progress = poll({"import_file": COMPLETED | {"status_name": "partial"}}, status_map={"partial": "succeeded"})
    assert (progress.state, progress.message) == (ImportState.SUCCEEDED, None)
    assert Gate(max_failed_records=3).judge(progress).decision is Decision.PASS
    assert Gate(max_failed_records=2).judge(progress).decision is Decision.FAIL


def test_too_many_failed_records_are_told_with_the_numbers_and_the_error_file():
    verdict = Gate(max_failed_records=2).judge(poll({"import_file": COMPLETED}))
    assert verdict.reason == (
        "ended with 3 failed records where max_failed_records allows 2 (status 'completed'; error file: "
        "https://files.example/errors.csv)"
    )


def test_too_low_a_rate_of_processed_records_is_told_with_the_numbers_and_the_error_file():
    verdict = Gate(min_success_rate=99.5).judge(poll({"import_file": COMPLETED}))
    assert verdict.reason.startswith("imported 99.4 % of 500 processed records, 3 of which failed, where")
    assert "error file: https://files.example/errors.csv" in verdict.reason


def test_failed_records_that_leadsy_does_not_count_as_processed_lower_the_rate_and_never_raise_it():
    counted, not_counted = (
        poll({"import_file": COMPLETED | {"processed_records": processed, "failed_records": 10}})
        for processed in (500, 490)
    )
    assert Gate(min_success_rate=98).judge(counted).decision is Decision.PASS
    assert Gate(min_success_rate=98).judge(not_counted).decision is Decision.FAIL


# Statuses that nobody knows


def test_an_unknown_name_keeps_waiting_with_a_warning_that_shows_how_to_map_it():
    progress = poll_file(status_name="Manual Review", status=7)
    assert (progress.state, progress.vendor_status) == (ImportState.RUNNING, "Manual Review")
    assert progress.warning == (
        "Leadsy's status 'Manual Review' (number 7) is unknown to this package, so the wait continues. Define its "
        'meaning with status_map={"manual_review": "running"} on the sensor, or as the extra \'status_map\' of the '
        "connection; instead of 'running' it may be one of 'pending', 'action_required', 'succeeded', 'failed', "
        "'cancelled'."
    )


def test_what_the_warning_shows_maps_the_name():
    shown = poll_file(status_name='En "Revisión" — ñ', status=7).warning.partition("status_map=")[2].partition("}")[0]
    progress = poll_file(status_map=json.loads(f"{shown}}}"), status_name='En "Revisión" — ñ', status=7)
    assert (progress.state, progress.warning) == (ImportState.RUNNING, None)


def test_the_warning_is_the_same_from_poll_to_poll():
    assert poll_file(status_name="odd", processed_records=1).warning == poll_file(status_name="odd").warning


@pytest.mark.parametrize("finished_at", [None, "", "  "])
def test_an_unknown_name_has_not_ended_without_a_time_of_its_end(finished_at):
    assert poll_file(status_name="odd", finished_at=finished_at).state is ImportState.RUNNING


@pytest.mark.parametrize("finished_at", [OVER, "some day", 1771365249, "0", {"at": OVER}])
def test_an_unknown_name_at_the_end_fails_closed_and_says_how_to_map_it(finished_at):
    with pytest.raises(ImportProtocolError) as caught:
        poll_file(status_name="Listo", status=2, finished_at=finished_at)
    assert not caught.value.transient
    assert str(caught.value) == (
        "GET it reported a finished import, but its status 'Listo' (number 2) is unknown to this package. "
        "Whether the import succeeded is unknown: check in Leadsy. If it succeeded, set "
        'status_map={"listo": "succeeded"} on the sensor, or as the extra \'status_map\' of the connection, otherwise '
        "with 'failed' instead of 'succeeded', and clear this task."
    )


@pytest.mark.parametrize("name", ["completado", "terminado", "procesado", "pendiente", "error_de_formato", "not_done"])
def test_names_that_only_look_familiar_are_unknown(name):
    assert "is unknown" in poll_file(status_name=name).warning


@pytest.mark.parametrize("name", [None, "", " ", 2, True, [], {"name": "completed"}])
def test_a_status_without_a_name_is_unknown_whatever_its_integer(name):
    progress = poll_file(status_name=name, status=2)
    assert (progress.state, progress.vendor_status) == (ImportState.RUNNING, 2)
    assert "status 2 without a name is unknown to this package" in progress.warning
    assert 'status_map={"2": "running"}' in progress.warning
    with pytest.raises(ImportProtocolError, match=r'status 2 without a name.*{"2": "succeeded"}'):
        poll_file(status_name=name, status=2, finished_at=OVER)


@pytest.mark.parametrize("number", [None, True, 1.5, "two", []])
def test_an_import_without_any_status_is_waited_for_unless_it_is_over(number):
    progress = poll_file(status_name=None, status=number)
    assert (progress.state, progress.vendor_status) == (ImportState.RUNNING, None)
    assert progress.warning.startswith("Leadsy reports no status of the import")
    with pytest.raises(ImportProtocolError, match="reported a finished import without a status"):
        poll_file(status_name=None, status=number, finished_at=OVER)


def test_a_name_of_any_length_stays_short_in_what_travels():
    progress = poll_file(status_name="x" * 100_000 + "\n")
    assert len(json.dumps(progress.to_dict())) < 2000


# What a user says that statuses mean


@pytest.mark.parametrize("key", ["manual_review", "Manual Review", "MANUAL-REVIEW", " manual  review "])
@pytest.mark.parametrize("state", ["succeeded", "SUCCEEDED", ImportState.SUCCEEDED])
def test_a_name_is_mapped_however_it_is_written(key, state):
    assert poll_file(status_map={key: state}, status_name="Manual-Review").state is ImportState.SUCCEEDED


@pytest.mark.parametrize("state", list(ImportState))
def test_a_name_may_mean_any_state(state):
    progress = poll_file(status_map={"odd": str(state)}, status_name="odd", finished_at=OVER)
    assert (progress.state, progress.warning) == (state, None)


@pytest.mark.parametrize("key", [7, "7", " 7 ", "07"])
@pytest.mark.parametrize("number", [7, "7", 7.0])
def test_an_integer_is_mapped_however_it_is_written(key, number):
    assert poll_file(status_map={key: "failed"}, status_name="odd", status=number).state is ImportState.FAILED


def test_a_negative_integer_is_mapped():
    assert poll_file(status_map={-1: "cancelled"}, status_name=None, status=-1).state is ImportState.CANCELLED


def test_what_is_mapped_overrides_what_is_usual():
    assert poll_file(status_map={"completed": "running"}, status_name="completed").state is ImportState.RUNNING
    assert poll_file(status_map={3: "failed"}, status_name="completed", status=3).state is ImportState.FAILED


def test_a_names_entry_wins_over_the_integers():
    status_map = {7: "succeeded", "odd": "failed"}
    assert poll_file(status_map=status_map, status_name="odd", status=7).state is ImportState.FAILED


def test_what_is_not_mapped_keeps_its_usual_meaning():
    assert poll_file(status_map={"odd": "failed"}).state is ImportState.RUNNING


@pytest.mark.parametrize("written", [{"Odd": "failed", "7": "succeeded"}, '{"Odd": "failed", "7": "succeeded"}'])
def test_the_connection_may_say_it_as_an_object_or_as_a_text(written):
    assert poll_file(connections_map=written, status_name="odd").state is ImportState.FAILED
    assert poll_file(connections_map=written, status_name=None, status=7).state is ImportState.SUCCEEDED


def test_the_sensors_entries_win_over_the_connections():
    connections = {"odd": "succeeded", "even": "failed"}
    assert (
        poll_file(status_map={"ODD": "failed"}, connections_map=connections, status_name="odd").state
        is ImportState.FAILED
    )
    assert (
        poll_file(status_map={"odd": "failed"}, connections_map=connections, status_name="even").state
        is ImportState.FAILED
    )


@pytest.mark.parametrize(
    ("status_map", "words"),
    [
        ({"odd": "fine"}, "'fine' for the status 'odd', which is none of 'pending', 'running'"),
        ({"odd": None}, "None for the status 'odd'"),
        ({"odd": 3}, "3 for the status 'odd'"),
        ({"odd": ["failed"]}, "for the status 'odd'"),
        ({"": "failed"}, "the key ''"),
        ({" ": "failed"}, "the key ' '"),
        ({None: "failed"}, "the key None"),
        ({True: "failed"}, "the key True"),
        ({1.5: "failed"}, "the key 1.5"),
        ({"Odd": "failed", "odd": "running"}, "two states for the status 'odd'"),
        ({2: "failed", "2": "running"}, "two states for the status '2'"),
        ([("odd", "failed")], "must map names or integers"),
        ("odd", "must map names or integers"),
    ],
)
def test_a_status_map_that_cannot_be_right_is_refused_by_name(status_map, words):
    with pytest.raises(ValueError, match="status_map") as caught:
        LeadsyImport(CODE, status_map)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "written", [{"odd": "fine"}, '{"odd": "fine"}', "{odd: failed}", '"odd"', [], ["odd"], 0, True]
)
def test_a_connections_status_map_that_cannot_be_right_is_refused(written):
    with pytest.raises(ImportRequestError, match=r"extra 'status_map' cannot be used: .* Correct it in Airflow"):
        LeadsyHook().validate_connection(connection(status_map=written))


@pytest.mark.parametrize("written", [None, "", "  ", {}, "{}"])
def test_a_connection_without_a_status_map_is_fine(written):
    LeadsyHook().validate_connection(connection(status_map=written))


def test_an_import_is_made_again_from_what_a_trigger_stores():
    import_ = LeadsyImport(CODE, {"Manual Review": ImportState.ACTION_REQUIRED, 7: "failed"})
    stored = json.loads(json.dumps(import_.to_dict()))
    assert stored["status_map"] == {"manual_review": "action_required", "7": "failed"}
    assert LeadsyImport(**stored) == import_


# Answers that are none


@pytest.mark.parametrize(
    "answer",
    [None, 2, "completed", [], [COMPLETED], {}, COMPLETED, {"import_file": None}, {"import_file": [COMPLETED]}],
)
def test_a_body_without_the_import_is_a_protocol_error(answer):
    with pytest.raises(
        ImportProtocolError, match='where Leadsy\'s API promises an object with the object "import_file"'
    ):
        poll(answer)


def test_a_body_without_the_import_is_not_repeated_because_addresses_and_people_are_in_it():
    with pytest.raises(ImportProtocolError, match="an object with the keys id, import_code, status") as caught:
        poll(COMPLETED)
    assert all(text not in str(caught.value) for text in ("https://", "Ada", "ada@"))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [([COMPLETED], "a list"), ({}, "an empty object"), ("completed", '"completed"'), (None, "null")],
)
def test_a_body_without_the_import_is_told_by_its_shape(answer, shown):
    with pytest.raises(ImportProtocolError, match=f"returned {shown} where"):
        poll(answer)


def test_another_imports_progress_is_a_protocol_error():
    with pytest.raises(ImportProtocolError, match=r"returned the import 'IMP-OTHER' where .* the import 'IMP-7F3A'"):
        poll({"import_file": COMPLETED | {"import_code": "IMP-OTHER"}})


@pytest.mark.parametrize("import_code", [None, "", f" {CODE} "])
def test_a_progress_that_does_not_name_another_import_counts(import_code):
    assert poll({"import_file": COMPLETED | {"import_code": import_code}}).state is ImportState.SUCCEEDED


def test_a_code_of_digits_may_be_answered_as_a_number():
    conversation = LeadsyImport("41").poll(connection())
    next(conversation)
    body = json.dumps({"import_file": COMPLETED | {"import_code": 41}}).encode()
    with pytest.raises(StopIteration) as end:
        conversation.send(Response(status=200, headers={}, body=body, request_line="GET it"))
    assert end.value.value.state is ImportState.SUCCEEDED


# The connection


@pytest.mark.parametrize(
    ("extra", "header"),
    [
        ({}, "Bearer token"),
        ({"auth_scheme": None}, "Bearer token"),
        ({"auth_scheme": "Token"}, "Token token"),
        ({"auth_scheme": " JWT "}, "JWT token"),
        ({"auth_scheme": ""}, "token"),
        ({"auth_scheme": "none"}, "token"),
        ({"auth_scheme": "None"}, "token"),
    ],
)
def test_the_token_follows_the_scheme_of_the_connection(extra, header):
    assert authorization(**extra) == header


@pytest.mark.parametrize("scheme", ["two words", "Bearer:", "a\nb", "é", 7, True, ["Bearer"]])
def test_a_scheme_that_is_no_word_is_refused(scheme):
    with pytest.raises(ImportRequestError, match="extra 'auth_scheme' must be one word"):
        LeadsyHook().validate_connection(connection(auth_scheme=scheme))


def with_password(password, **extra):
    return VendorConnection(conn_id="leadsy_default", base_url="https://leadsy.example", password=password, extra=extra)


@pytest.mark.parametrize("password", ["", "tökén", "a\nb"])
def test_a_token_that_cannot_be_sent_is_refused_without_showing_it(password):
    with pytest.raises(ImportRequestError, match="Enter the Leadsy token") as caught:
        LeadsyHook().validate_connection(with_password(password))
    assert not password or password not in str(caught.value)


def test_a_scheme_that_was_pasted_with_the_token_is_noticed():
    with pytest.raises(
        ImportRequestError, match=r"has a space in it\. Enter the Leadsy token alone: 'Bearer'"
    ) as caught:
        LeadsyHook().validate_connection(with_password("Bearer eyJhbGciOiJ"))
    assert "eyJ" not in str(caught.value)


def test_what_is_sent_bare_may_have_a_space():
    LeadsyHook().validate_connection(with_password("Token token=abc", auth_scheme=""))


# The sensor


def test_the_sensor_waits_for_the_import_of_its_arguments():
    sensor = LeadsyImportSensor(task_id="wait", import_code=CODE, status_map={"Odd": "failed"})
    assert sensor.get_import() == LeadsyImport(CODE, {"odd": "failed"})
    assert sensor.template_fields == ("import_code", "leadsy_conn_id")


@pytest.mark.parametrize("import_code", [CODE, "{{ ti.xcom_pull('upload') }}"])
def test_the_sensor_refuses_a_wrong_status_map_while_the_dag_is_parsed(import_code):
    with pytest.raises(ValueError, match="status_map has 'fine'"):
        LeadsyImportSensor(task_id="wait", import_code=import_code, status_map={"odd": "fine"})


@pytest.mark.parametrize(
    ("argument", "value"), [("max_failed_records", -1), ("min_success_rate", 101), ("import_code", "None")]
)
def test_the_sensor_refuses_a_wrong_argument_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        LeadsyImportSensor(**{"task_id": "wait", "import_code": CODE, argument: value})
