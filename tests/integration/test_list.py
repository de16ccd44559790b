# SPDX-License-Identifier: Apache-2.0
"""The command ``airflow-import-progress list`` over HTTP against Airflow's app with a real metadata database."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.plugins_manager import AirflowPlugin

if not hasattr(AirflowPlugin, "external_views"):
    pytest.skip("this Airflow has no external views", allow_module_level=True)

import uvicorn
from airflow.utils.session import create_session
from sqlalchemy import text as sql

from airflow_import_progress.cli import airflow_api, main
from airflow_import_progress.cli.arguments import parser
from airflow_import_progress.cli.listing import KEYS, MAX_LISTED, START_KEY, TIME_KEYS
from airflow_import_progress.cli.wait_table import FAILED, OVER
from airflow_import_progress.plugin import URL_PREFIX
from airflow_import_progress.plugin.api import MAX_DAYS, MAX_LIMIT
from airflow_import_progress.plugin.status import UNDER_WAY, WENT_WRONG, WaitStatus
from airflow_import_progress.waiting.published import PublishedStart, PublishedStartState
from tests.support.imports_page import NOW, PASSWORD, published, token_of
from tools.seed_waits import SeededWait

HOSTILE = "\x1b[31m[red]\x1b]0;owned\x07[/]\r\u202e"


@pytest.fixture(scope="module")
def url(airflows_app):
    """Serve Airflow's app, and return its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(airflows_app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The environment of a terminal, without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("AIRFLOW_CLI_TOKEN", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def list_imports(url, database, monkeypatch, capsys):
    """Return a function that runs the command for a user, and returns what came of it."""

    def list_imports(*arguments, username="reads everything", api_url=url):
        if username:
            monkeypatch.setenv("AIRFLOW_CLI_TOKEN", token_of(username))
        out = io.StringIO()
        exit_code = main.perform(parser().parse_args(["list", "--api-url", api_url, *arguments]), out)
        return SimpleNamespace(exit_code=exit_code, text=out.getvalue(), errors=capsys.readouterr().err)

    return list_imports


def failed(**fields):
    published_ = published(
        progress=("failed", 42.0), error="Lucca leave import '3c90' failed at the vendor (status -1)."
    )
    return SeededWait(**{"task_state": "failed", "published": published_} | fields)


def ago(**time):
    return datetime.now(UTC) - timedelta(**time)


def test_it_reads_the_api_of_the_page():
    assert f"{URL_PREFIX}/api/waits" == airflow_api.WAITS_PATH
    assert {*UNDER_WAY, *OVER, *FAILED} == set(WaitStatus)
    assert set(FAILED) == WENT_WRONG
    assert MAX_LISTED == MAX_LIMIT


# The table


def test_a_wait_is_listed_with_import_task_state_and_percent(list_imports, database):
    database(SeededWait(dag_id="leaves", run_id="manual__1", map_index=3, published=published()))
    header, first, second, summary = list_imports().text.splitlines()
    assert header.split() == ["State", "Since", "Took", "Progress", "Vendor", "Import"]
    began = datetime.fromtimestamp(NOW - 600).astimezone()
    assert re.fullmatch(rf"running +(\S+ )?{began:%H:%M} +1\d min +42 % +Lucca +3c90 *", first)
    assert second.strip() == "leaves · wait [3] · manual__1"
    assert re.fullmatch(r"Since .*\d\d:\d\d: 0 failed, 0 done, started or skipped, 1 under way\.", summary)


@pytest.fixture
def set_time_zone(monkeypatch):
    """Return a function that sets the time zone of the terminal."""

    def set_time_zone(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_time_zone
    monkeypatch.undo()
    time.tzset()


def test_times_are_in_the_time_zone_of_the_terminal(list_imports, database, set_time_zone):
    database(SeededWait(published=published()))
    for zone, hours in (("UTC", 0), ("Asia/Dubai", 4)):
        set_time_zone(zone)
        began = datetime.fromtimestamp(NOW - 600, UTC) + timedelta(hours=hours)
        assert re.search(r"running +(?:\S+ )?(\d\d:\d\d)", list_imports().text)[1] == f"{began:%H:%M}"


def test_a_failed_import_comes_last_with_its_error(list_imports, database):
    database(failed(dag_id="leads"), SeededWait(dag_id="leaves", published=published()))
    *_, task, error, summary = list_imports().text.splitlines()
    assert task.split()[0] == "leads"
    assert error.strip() == "Lucca leave import '3c90' failed at the vendor (status -1)."
    assert summary.endswith(" 1 failed, 0 done, started or skipped, 1 under way.")


def test_an_import_of_unknown_outcome_is_to_be_checked_at_the_vendor(list_imports, database):
    database(SeededWait(task_state="failed", published=published()))
    listed = list_imports()
    assert "gave up" in listed.text
    assert "Whether the import succeeded is unknown: check at the vendor." in listed.text
    assert listed.exit_code == 1


def test_only_failed_imports_are_listed_on_request(list_imports, database):
    database(failed(dag_id="leads"), SeededWait(dag_id="leaves", published=published()))
    listed = list_imports("--failed")
    assert "leads" in listed.text
    assert "leaves" not in listed.text
    assert listed.text.endswith(": 1 failed.\n")


def test_imports_that_ended_earlier_are_left_out(list_imports, database):
    database(
        SeededWait(dag_id="before", task_state="success", published_at=ago(hours=3), published=published()),
        SeededWait(dag_id="since", task_state="success", published_at=ago(hours=1), published=published()),
        SeededWait(dag_id="long", published_at=ago(hours=3), published=published()),
    )
    listed = list_imports("--since", "2h").text
    assert [name for name in ("before", "since", "long") if name in listed] == ["since", "long"]


def test_an_import_of_an_old_run_that_ended_in_this_time_is_listed(list_imports, database):
    database(failed(run_after=ago(days=60), run_state="failed"))
    assert list_imports("--since", "2h").exit_code == 1


def test_the_longest_time_is_one_that_the_api_accepts(list_imports, database):
    assert list_imports("--since", "3650d").exit_code == 0
    assert MAX_DAYS >= 3650 + 7


def test_imports_of_one_vendor_are_listed_on_request(list_imports, database):
    database(
        SeededWait(dag_id="leaves", published=published()),
        SeededWait(dag_id="leads", published=published(vendor="Leadsy")),
    )
    listed = list_imports("--vendor", "leadsy")
    assert "leads" in listed.text
    assert "leaves" not in listed.text
    assert listed.errors == ""


def test_a_vendor_without_imports_is_reported_because_it_may_be_misspelled(list_imports, database):
    database(SeededWait(published=published()))
    listed = list_imports("--vendor", "Lucka")
    assert "Nothing at a vendor 'Lucka'. Vendors are named as on the page" in listed.errors
    assert listed.text.endswith(": 0 failed, 0 done, started or skipped, 0 under way.\n")


# Starts


def started(state, **fields):
    start = PublishedStart(state=PublishedStartState(state), sent_at=NOW - 700, content="the file '/data/leaves.csv'")
    return published(start=start, **fields)


def test_an_import_that_a_task_has_started_is_listed_with_its_file(list_imports, database):
    database(SeededWait(published=started("started")))
    assert "Started with the file '/data/leaves.csv'." in list_imports().text


def test_an_import_that_is_not_awaited_is_listed_as_started(list_imports, database):
    database(SeededWait(task_state="success", published=started("not_awaited", progress=None)))
    listed = list_imports()
    assert re.search(r"^started .*3c90", listed.text, re.MULTILINE)
    assert "Started with the file '/data/leaves.csv'." in listed.text
    assert listed.exit_code == 0


def test_a_start_of_unknown_outcome_counts_as_failed_and_shows_what_to_do(list_imports, database):
    advice = f"It is unknown whether the import was started. {'Look at the imports. ' * 30}Clear this task."
    unknown = started("unknown", progress=None, import_id=None, error=advice)
    database(SeededWait(task_state="failed", published=unknown))
    listed = list_imports()
    assert re.search(r"^start unknown .*no import", listed.text, re.MULTILINE)
    assert " ".join(listed.text.split()).count("Look at the imports.") == 30
    assert "Clear this task." in listed.text
    assert listed.exit_code == 1


def test_json_has_the_start_with_its_time_in_utc(list_imports, database):
    database(SeededWait(published=started("started")))
    assert json.loads(list_imports("--json").text)["start"] == {
        "state": "started",
        "sent_at": datetime.fromtimestamp(NOW - 700, UTC).isoformat(timespec="seconds"),
        "content": "the file '/data/leaves.csv'",
    }


# The exit status


def test_without_a_failed_import_it_is_0(list_imports, database):
    database(
        SeededWait(dag_id="leaves", published=published()),
        SeededWait(dag_id="done", task_state="success", published=published(progress=("succeeded", 100.0))),
        failed(dag_id="earlier", published_at=ago(hours=13)),
    )
    assert list_imports().exit_code == 0


def test_with_a_failed_import_it_is_1(list_imports, database):
    database(failed())
    assert list_imports().exit_code == 1


def many(count, **fields):
    return [
        SeededWait(**{"dag_id": "many", "map_index": index, "published": published()} | fields)
        for index in range(count)
    ]


def test_a_failed_import_beside_more_imports_than_are_listed_is_found(list_imports, database):
    database(*many(205), failed(dag_id="leads"))
    listed = list_imports()
    assert "leads · wait" in listed.text
    assert "There are more imports than are listed." in listed.errors
    assert listed.exit_code == 1


def test_failed_imports_of_other_vendors_do_not_count(list_imports, database):
    database(*many(1001, task_state="failed"))
    listed = list_imports("--vendor", "Leadsy")
    assert listed.exit_code == 0


def test_it_is_2_if_none_of_more_failed_imports_than_are_read_can_be_shown(list_imports, database):
    database(*many(201, task_state="failed", published={"vendor": "Lucca"}))
    assert list_imports().exit_code == 2


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_a_reader_that_goes_away_is_not_a_failed_import(url, database, monkeypatch, options):
    class Pipe(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    database(SeededWait(published=published()))
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", token_of("reads everything"))
    # The process ends with 141.
    with pytest.raises(BrokenPipeError):
        main.perform(parser().parse_args(["list", "--api-url", url, *options]), Pipe())


# JSON


def test_json_has_a_line_for_each_import_and_nothing_besides(list_imports, database):
    database(failed(dag_id="leads"), SeededWait(dag_id="leaves", published=published()))
    lines = [json.loads(line) for line in list_imports("--json").text.splitlines()]
    assert {line["dag_id"]: line["state"] for line in lines} == {"leads": "failed", "leaves": "running"}
    assert all(set(line) == {*KEYS, *TIME_KEYS, START_KEY} for line in lines)


def test_json_has_times_in_utc(list_imports, database):
    database(SeededWait(published=published()))
    wait = json.loads(list_imports("--json").text)
    assert wait["waiting_since"] == datetime.fromtimestamp(NOW - 600, UTC).isoformat(timespec="seconds")
    assert wait["ended_at"] is None


def test_the_process_writes_json_and_nothing_besides(url, database, tmp_path):
    database(failed())
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__API__BASE_URL": url}
    environment |= {"AIRFLOW_CLI_TOKEN": token_of("reads everything")}
    command = [sys.executable, "-m", "airflow_import_progress", "list", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    assert json.loads(done.stdout)["state"] == "failed"
    assert (done.returncode, done.stderr) == (1, "")


# The user's rights


def test_a_user_sees_only_imports_of_readable_dags(list_imports, database):
    database(failed(dag_id="payroll_of_the_board"), SeededWait(dag_id="leaves", published=published()))
    listed = list_imports(username="reads one DAG")
    assert "leaves" in listed.text
    assert "payroll" not in listed.text
    assert listed.exit_code == 0


@pytest.mark.parametrize("username", ["reads no XComs", "reads no tasks", "reads nothing"])
def test_a_user_without_the_permissions_is_refused(list_imports, database, username):
    database(failed())
    listed = list_imports(username=username)
    assert listed.exit_code == 2
    assert listed.text == ""
    assert "HTTP 403" in listed.errors
    assert "a user who may read DAGs, task instances and XComs" in listed.errors


def test_a_forged_token_is_refused_and_not_shown(list_imports, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkcyBldmVyeXRoaW5nIn0.")
    listed = list_imports(username=None)
    assert listed.exit_code == 2
    assert re.search(r"HTTP 40[13]: .* token", listed.errors)
    assert "eyJ" not in listed.errors


def test_a_user_name_and_a_password_are_accepted_in_place_of_a_token(list_imports, database, monkeypatch):
    database(failed())
    monkeypatch.setenv("AIRFLOW_USERNAME", "reads everything")
    monkeypatch.setenv("AIRFLOW_PASSWORD", PASSWORD)
    assert list_imports(username=None).exit_code == 1


def test_a_wrong_password_is_refused_and_not_shown(list_imports, monkeypatch):
    monkeypatch.setenv("AIRFLOW_USERNAME", "reads everything")
    monkeypatch.setenv("AIRFLOW_PASSWORD", "wrong-password")
    listed = list_imports(username=None)
    assert listed.exit_code == 2
    assert "/auth/token returned HTTP 401: Invalid credentials. Check AIRFLOW_USERNAME and AIRFLOW_PASSWORD." in (
        listed.errors
    )
    assert "wrong-password" not in listed.errors


# What must not come out


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_texts_of_vendors_and_users_are_inert(list_imports, database, options):
    texts = {"import_id": HOSTILE, "vendor": HOSTILE, "error": HOSTILE}
    database(failed(dag_id="leads", run_id=HOSTILE, published=published(progress=("failed", 42.0), **texts)))
    listed = list_imports(*options)
    assert "owned" in listed.text
    assert listed.text.replace("\n", "").isprintable()


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_an_invalid_xcom_affects_only_its_own_row(list_imports, database, options):
    values = published().to_dict()
    nasty = [None, True, -1, 1.5, 1e300, "text", "x" * 5000, [], {}]
    texts = [
        json.dumps(
            {**values, name: value} if name in values else {**values, "progress": {**values["progress"], name: value}}
        )
        for name in (*values, *values["progress"])
        for value in nasty
    ]
    database(*(SeededWait(map_index=index, published={}) for index in range(len(texts))), failed(dag_id="good"))
    with create_session() as session:
        for index, text in enumerate(texts):
            session.execute(
                sql("UPDATE xcom SET value = :value WHERE map_index = :index"), {"value": text, "index": index}
            )
    listed = list_imports(*options)
    assert listed.exit_code == 1
    assert "good" in listed.text
