# SPDX-License-Identifier: Apache-2.0
"""Leadsy's hook and sensor against the sandbox; each behaviour is the same in every transport and mode."""

from __future__ import annotations

import re

import pytest

from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportPollError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.progress import ImportState
from airflow_import_progress.sensors.leadsy import LeadsyImportSensor

TOKEN = "sandbox-leadsy-token"
IMPORTS_PATH = "/api/v1/import"
LEADS_CSV = b"full_name,email\nAda Lovelace,ada@example.com\nGrace Hopper,grace@example.com\nAlan Turing\n"
OVER = "2026-02-17T21:58:00Z"


@pytest.fixture(autouse=True)
def connected(connect_to, sandbox):
    connect_to("leadsy")


@pytest.fixture
def ended_import(sandbox):
    """Return a function that creates an import of 500 records that is over at once, with such a script."""

    def create(**script):
        return sandbox.create_import("leadsy", "lead", {"duration": 0, "records": 500, **script})

    return create


@pytest.fixture
def lead_import(sandbox):
    """Return a function that creates an import whose polls are answered with these fields of it in turn."""

    def create(*answers):
        bodies = [{"import_file": fields} for fields in answers]
        return sandbox.create_import("leadsy", "lead", {"answers": bodies})

    return create


@pytest.mark.parametrize(
    ("script", "state", "percent"),
    [
        ({"points": [[0, 0]]}, ImportState.PENDING, 0.0),
        ({"points": [[0, 50]]}, ImportState.RUNNING, 50.0),
        ({"points": [[0, 100]]}, ImportState.SUCCEEDED, 100.0),
        ({"points": [[0, 20], [0, -1]]}, ImportState.FAILED, 20.0),
    ],
)
def test_tells_how_far_an_import_is(sandbox, get_by, script, state, percent):
    import_code = sandbox.create_import("leadsy", "lead", script)
    progress = get_by(LeadsyHook(), LeadsyImport(import_code))
    assert (progress.state, progress.percent) == (state, percent)


def test_tells_what_became_of_the_records_and_where_the_errors_are(ended_import, get_by):
    import_code = ended_import(failed_records=3)
    progress = get_by(LeadsyHook(), LeadsyImport(import_code))
    assert (progress.total, progress.processed, progress.failed) == (500, 500, 3)
    assert progress.started_at is not None
    assert progress.finished_at is not None
    # The sandbox signs the address, and the signature is left out.
    assert progress.details == {
        "error_file": f"https://files.leadsy.example/imports/{import_code}/errors.csv",
        "success_rate": 99.4,
    }


@pytest.mark.parametrize(
    ("scheme", "extra"),
    [
        ("Bearer", {}),
        ("Token", {"auth_scheme": "Token"}),
        ("", {"auth_scheme": ""}),
        ("", {"auth_scheme": "none"}),
    ],
)
def test_sends_the_token_behind_the_scheme_of_the_connection(sandbox, connect_to, get_by, scheme, extra, ended_import):
    sandbox.change("leadsy", auth_scheme=scheme)
    connect_to("leadsy", extra=extra)
    import_code = ended_import()
    assert get_by(LeadsyHook(), LeadsyImport(import_code)).state is ImportState.SUCCEEDED


def test_a_scheme_that_leadsy_does_not_expect_is_refused_with_advice(sandbox, get_by, ended_import):
    sandbox.change("leadsy", auth_scheme="")
    import_code = ended_import()
    with pytest.raises(ImportRequestError, match=r"HTTP 401 Unauthorized.*see the connection's extra 'auth_scheme'"):
        get_by(LeadsyHook(), LeadsyImport(import_code))


def test_a_wrong_token_says_so_without_the_token(connect_to, ended_import, get_by):
    import_code = ended_import()
    connect_to("leadsy", password="wrong-token-77")
    with pytest.raises(ImportRequestError, match=r"HTTP 401 Unauthorized.*did not accept the token") as caught:
        get_by(LeadsyHook(), LeadsyImport(import_code))
    assert "wrong-token-77" not in str(caught.value)
    assert str(caught.value).startswith(f"Leadsy import '{import_code}' (connection 'leadsy_default'): GET ")


def test_an_unknown_import_is_refused_with_advice(get_by):
    with pytest.raises(ImportRequestError, match=r"HTTP 404 Not Found.*check import_code"):
        get_by(LeadsyHook(), LeadsyImport("IMP-NONE"))


def test_a_code_that_walks_the_path_reaches_leadsy_as_a_code(sandbox, get_by):
    with pytest.raises(ImportRequestError, match="HTTP 404"):
        get_by(LeadsyHook(), LeadsyImport("../import?x"))
    assert sandbox.requests()[-1]["path"] == f"{IMPORTS_PATH}/..%2Fimport%3Fx"


def test_a_right_that_is_missing_is_told_with_advice(sandbox, get_by, ended_import):
    import_code = ended_import()
    sandbox.add_fault({"status": 403, "body": '{"error": "Forbidden"}'}, import_id=import_code)
    with pytest.raises(ImportRequestError, match=r"HTTP 403 Forbidden.*a user who may see the company's imports"):
        get_by(LeadsyHook(), LeadsyImport(import_code))


def test_a_fault_of_leadsys_may_pass(sandbox, get_by, ended_import):
    import_code = ended_import()
    sandbox.add_fault({"status": 500, "body": '{"error": "oops"}'}, import_id=import_code)
    with pytest.raises(ImportPollError, match="HTTP 500 Internal Server Error: oops") as caught:
        get_by(LeadsyHook(), LeadsyImport(import_code))
    assert caught.value.transient


def test_a_name_that_repeats_the_token_does_not_spread_it(lead_import, get_by):
    import_code = lead_import({"status_name": f"waiting for {TOKEN}"})
    assert TOKEN not in str(get_by(LeadsyHook(), LeadsyImport(import_code)).to_dict())


def test_a_body_without_the_import_is_a_protocol_error(sandbox, get_by):
    import_code = sandbox.create_import("leadsy", "lead", {"answers": [{"status_name": "completed"}]})
    with pytest.raises(ImportProtocolError, match="an object with the keys status_name where Leadsy's API promises"):
        get_by(LeadsyHook(), LeadsyImport(import_code))


@pytest.mark.parametrize("written", [{"odd": "succeeded"}, '{"odd": "succeeded"}'])
def test_the_connection_says_what_a_status_means(connect_to, lead_import, get_by, written):
    connect_to("leadsy", extra={"status_map": written})
    assert get_by(LeadsyHook(), LeadsyImport(lead_import({"status_name": "odd"}))).state is ImportState.SUCCEEDED


def test_starts_an_import_by_upload():
    answer = LeadsyHook().request("POST", IMPORTS_PATH, files={"file": ("leads.csv", LEADS_CSV, "text/csv")}).json()
    import_code = answer["import_file"]["import_code"]
    assert LeadsyHook().get_progress(LeadsyImport(import_code)).total == 3


# The sensor


def test_an_import_that_gets_done_is_waited_for(run_sensor, sandbox, lead_import):
    import_code = lead_import(
        {"status_name": "pending", "total_records": 0},
        {"status_name": "processing", "total_records": 500, "processed_records": 250},
        {"status_name": "completed", "total_records": 500, "processed_records": 500, "failed_records": 3},
    )
    result = run_sensor(LeadsyImportSensor, import_code=import_code)
    assert (result["import_id"], result["state"], result["failed"]) == (import_code, "succeeded", 3)
    assert len(sandbox.requests(import_code)) == 3


def test_a_failed_import_fails_the_task_with_what_is_known(run_sensor, ended_import):
    import_code = ended_import(fail_at=20, failed_records=50)
    with pytest.raises(ImportFailedError) as caught:
        run_sensor(LeadsyImportSensor, import_code=import_code)
    assert str(caught.value) == (
        f"Leadsy import '{import_code}' (connection 'leadsy_default') failed at the vendor (status 'failed': 10 of 500 "
        f"records failed; error file: https://files.leadsy.example/imports/{import_code}/errors.csv). Check the "
        f"import in Leadsy."
    )


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max_failed_records": 2}, "ended with 3 failed records where max_failed_records allows 2"),
        ({"min_success_rate": 99.5}, "imported 99.4 % of 500 processed records, 3 of which failed, where"),
    ],
)
def test_too_many_failed_records_fail_the_task(run_sensor, ended_import, limit, words):
    import_code = ended_import(failed_records=3)
    with pytest.raises(ImportFailedError, match=re.escape(words)) as caught:
        run_sensor(LeadsyImportSensor, import_code=import_code, **limit)
    assert f"error file: https://files.leadsy.example/imports/{import_code}/errors.csv" in str(caught.value)


@pytest.mark.parametrize("limit", [{"max_failed_records": 3}, {"min_success_rate": 99.4}, {}])
def test_failed_records_within_the_limit_pass(run_sensor, ended_import, limit):
    import_code = ended_import(failed_records=3)
    assert run_sensor(LeadsyImportSensor, import_code=import_code, **limit)["failed"] == 3


@pytest.mark.parametrize("limit", [{"max_failed_records": 0}, {"min_success_rate": 0}, {"min_records": 1}])
def test_a_limit_fails_an_import_whose_counts_are_unknown(run_sensor, lead_import, limit):
    import_code = lead_import({"status_name": "completed", "failed_records": None, "success_rate": 100})
    with pytest.raises(ImportFailedError, match="succeeded, but the vendor reports no count"):
        run_sensor(LeadsyImportSensor, import_code=import_code, **limit)


def test_an_unknown_status_is_waited_for_and_warned_of_once(run_sensor, caplog, logged, lead_import):
    odd = {"status_name": "Manual Review"}
    import_code = lead_import(odd, odd, odd, {"status_name": "completed"})
    assert run_sensor(LeadsyImportSensor, import_code=import_code)["state"] == "succeeded"
    # Nothing is kept between two workers, so each that is started anew warns in its own part of the log.
    times = 3 if run_sensor.mode == "reschedule" else 1
    shown = 'status_map={"manual_review": "running"}'
    # Older versions of Airflow log to logging and to the output, newer ones to the output alone.
    assert (sum(shown in record.getMessage() for record in caplog.records) or logged().count(shown)) == times


def test_an_unknown_status_at_the_end_fails_the_task(run_sensor, lead_import):
    import_code = lead_import({"status_name": "processing"}, {"status_name": "listo", "finished_at": OVER})
    with pytest.raises(ImportProtocolError, match=r"its status 'listo' is unknown.*\"listo\": \"succeeded\""):
        run_sensor(LeadsyImportSensor, import_code=import_code)


def test_a_status_map_goes_where_the_wait_goes(run_sensor, lead_import):
    import_code = lead_import(
        {"status_name": "en curso"}, {"status_name": None, "status": 4}, {"status_name": "Listo", "finished_at": OVER}
    )
    status_map = {"en curso": ImportState.RUNNING, 4: "pending", "listo": "succeeded"}
    result = run_sensor(LeadsyImportSensor, import_code=import_code, status_map=status_map)
    assert (result["state"], result["vendor_status"], result["warning"]) == ("succeeded", "Listo", None)


# The connection test


def test_the_connection_test_says_what_it_verified(sandbox):
    verified, words = LeadsyHook().test_connection()
    assert (verified, words) == (True, f"{sandbox.url} accepted the token and listed its imports.")
    assert [(asked["method"], asked["path"]) for asked in sandbox.requests()] == [("GET", IMPORTS_PATH)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 404, "body": "<h1>Not found</h1>"}, "host is that of Leadsy's API"),
        ({"status": 404, "body": '{"error": "Not Found"}'}, "host is that of Leadsy's API"),
        ({"status": 200, "body": '"hello"'}, "host is that of Leadsy's API"),
        ({"status": 200, "body": "<h1>Welcome</h1>"}, "not JSON"),
        ({"status": 403, "body": "{}"}, "a user who may see the company's imports"),
        ({"status": 302, "headers": {"Location": "https://login.example/"}}, "Redirects are not followed"),
    ],
)
def test_the_connection_test_is_not_fooled_by_any_web_server(sandbox, answer, words):
    sandbox.add_fault(answer)
    verified, said = LeadsyHook().test_connection()
    assert not verified
    assert words in said


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong"}, "did not accept the token"),
        ({"password": ""}, "Enter the Leadsy token"),
        ({"password": f"Bearer {TOKEN}"}, "Enter the Leadsy token alone"),
        ({"host": ""}, "no host"),
        ({"conn_type": "http"}, "not 'leadsy'"),
        ({"extra": {"auth_scheme": "two words"}}, "must be one word"),
        ({"extra": {"status_map": {"odd": "fine"}}}, "'fine' for the status 'odd'"),
    ],
)
def test_the_connection_test_says_what_is_wrong(connect_to, fields, words):
    connect_to("leadsy", **fields)
    verified, said = LeadsyHook().test_connection()
    assert not verified
    assert words in said
    assert TOKEN not in said
