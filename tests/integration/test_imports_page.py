# SPDX-License-Identifier: Apache-2.0
"""The app of the "Imports" page, mounted in Airflow's app with a real metadata database and Airflow's permissions."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from airflow.plugins_manager import AirflowPlugin

if not hasattr(AirflowPlugin, "external_views"):
    pytest.skip("this Airflow has no external views", allow_module_level=True)

from fastapi.testclient import TestClient

from airflow_import_progress import plugin
from tests.support.imports_page import NOW, published, token_of
from tools.seed_waits import SeededWait

PAGE = "/import-progress/"
WAITS = "/import-progress/api/waits"
WAIT = "/import-progress/api/wait"
#: The modules of the page's script.
MODULES = sorted(file.name for file in Path(plugin.__file__).parent.glob("page/*.js"))


@pytest.fixture
def browser(airflows_app, database):
    """Return a function that makes a client with or without a logged-in user."""

    def log_in(username="reads everything"):
        client = TestClient(airflows_app)
        if username:
            client.cookies.set("_token", token_of(username))
        return client

    return log_in


def only_wait(client, **filters):
    (wait,) = client.get(WAITS, params=filters).json()["waits"]
    return wait


# ---- Permissions


@pytest.mark.parametrize("address", [WAITS, f"{WAIT}?dag_id=leaves&run_id=r&task_id=wait"])
def test_the_api_requires_a_session(browser, database, address):
    database(SeededWait(dag_id="leaves", run_id="r", published=published()))
    response = browser(None).get(address)
    assert response.status_code == 401
    assert "3c90" not in response.text


def test_a_forged_token_is_rejected(browser, database):
    database(SeededWait(published=published()))
    client = browser(None)
    client.cookies.set("_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJyZWFkcyBldmVyeXRoaW5nIn0.")
    response = client.get(WAITS)
    assert response.status_code in (401, 403)
    assert "3c90" not in response.text


def test_the_session_of_airflows_ui_is_accepted(browser, database):
    database(SeededWait(published=published()))
    assert only_wait(browser())["import_id"] == "3c90"


def test_a_token_of_airflows_api_is_accepted(browser, database):
    database(SeededWait(published=published()))
    client = browser(None)
    client.headers["Authorization"] = f"Bearer {token_of('reads everything')}"
    assert only_wait(client)["import_id"] == "3c90"


def test_a_user_sees_only_imports_of_readable_dags(browser, database):
    database(
        SeededWait(dag_id="leaves", published=published()),
        SeededWait(dag_id="payroll_of_the_board", published=published()),
    )
    response = browser("reads one DAG").get(WAITS)
    assert [wait["dag_id"] for wait in response.json()["waits"]] == ["leaves"]
    assert "payroll_of_the_board" not in response.text


@pytest.mark.parametrize("address", [WAITS, WAIT])
def test_requesting_an_unreadable_dag_is_forbidden(browser, database, address):
    database(SeededWait(dag_id="payroll_of_the_board", run_id="r", published=published()))
    parameters = {"dag_id": "payroll_of_the_board", "run_id": "r", "task_id": "wait"}
    assert browser("reads one DAG").get(address, params=parameters).status_code == 403


def test_requesting_several_dags_reveals_no_unreadable_one(browser, database):
    database(SeededWait(dag_id="payroll_of_the_board", run_id="r", published=published()))
    for query in ("dag_id=leaves&dag_id=payroll_of_the_board", "dag_id=payroll_of_the_board&dag_id=leaves", "dag_id=~"):
        response = browser("reads one DAG").get(f"{WAITS}?{query}")
        assert "3c90" not in response.text


@pytest.mark.parametrize("username", ["reads no XComs", "reads no tasks", "reads nothing"])
def test_reading_requires_the_permissions_for_xcoms_and_task_instances(browser, database, username):
    database(SeededWait(dag_id="leaves", run_id="r", published=published()))
    client = browser(username)
    assert client.get(WAITS).status_code == 403
    assert client.get(WAIT, params={"dag_id": "leaves", "run_id": "r", "task_id": "wait"}).status_code == 403


def test_the_page_contains_no_data_and_allows_only_its_own_script(browser, database):
    database(SeededWait(published=published()))
    response = browser(None).get(PAGE)
    assert response.status_code == 200
    assert "3c90" not in response.text
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert "unsafe" not in policy
    assert "<script>" not in response.text


@pytest.mark.parametrize("name", ["imports.js", "imports.css"])
def test_the_page_loads_its_script_and_its_styles(browser, name):
    assert f'"{name}"' in browser(None).get(PAGE).text


@pytest.mark.parametrize("name", ["imports.css", *MODULES])
def test_the_page_loads_only_its_own_files(browser, name):
    client = browser(None)
    response = client.get(f"{PAGE}{name}")
    assert response.status_code == 200
    assert "https://" not in response.text.replace("http://www.w3.org/2000/svg", "")
    assert set(re.findall(r'from "\./(.+)"', response.text)) <= set(MODULES)


def test_data_is_neither_cached_nor_interpreted_as_html(browser, database):
    database(SeededWait(published=published(import_id="<script>alert(1)</script>")))
    response = browser().get(WAITS)
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.json()["waits"][0]["import_id"] == "<script>alert(1)</script>"


def test_airflow_registers_the_page_in_its_menu_and_on_tasks(browser):
    plugins = {plugin["name"]: plugin for plugin in _plugins(browser())}
    views = {view["destination"]: view for view in plugins["import_progress"]["external_views"]}
    assert set(views) == {"nav", "task_instance"}
    # Relative, so that the path of [api] base_url is kept.
    assert {view["href"].partition("?")[0] for view in views.values()} == {"import-progress/"}


def _plugins(client):
    return client.get("/api/v2/plugins").json()["plugins"]


# ---- The content of a wait


def test_progress_includes_pace_and_expected_end(browser, database):
    database(SeededWait(published=published()))
    wait = only_wait(browser())
    assert (wait["percent"], wait["processed"], wait["total"], wait["failed"]) == (42.0, 420, 1000, 2)
    assert wait["records_per_minute"] == pytest.approx(42.0)
    assert wait["ends_at"] == pytest.approx(NOW + 800)
    assert wait["polled_at"] == pytest.approx(NOW - 12)
    assert "history" not in wait


def test_the_progress_of_an_earlier_try_is_ignored(browser, database):
    database(SeededWait(try_number=2, published=published(try_number=1, error="HTTP 503", failures=3)))
    wait = only_wait(browser())
    assert wait["state"] == "waiting"
    assert [wait[name] for name in ("percent", "error", "ends_at", "polled_at", "failures")] == [None] * 4 + [0]


@pytest.mark.parametrize("task_state", ["success", "failed", "skipped", "up_for_retry"])
def test_a_finished_try_has_no_expected_end(browser, database, task_state):
    database(SeededWait(task_state=task_state, published=published()))
    assert only_wait(browser())["ends_at"] is None


@pytest.mark.parametrize("value", [None, 42, "a text", ["a", "list"], {"percent": 42}, {"vendor": None}])
def test_an_xcom_with_the_same_key_from_another_task_is_ignored(browser, database, value):
    database(SeededWait(dag_id="leaves", run_id="r", published=value))
    client = browser()
    assert client.get(WAITS).json()["waits"] == []
    assert client.get(WAIT, params={"dag_id": "leaves", "run_id": "r", "task_id": "wait"}).status_code == 404


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "http://", "http://[", 7]
)
def test_an_address_that_is_not_http_is_omitted(browser, database, address):
    database(SeededWait(published=published(import_url=address)))
    assert only_wait(browser())["import_url"] is None


def test_the_vendors_page_is_included(browser, database):
    database(SeededWait(published=published(import_url="https://vendor.example/imports/1")))
    assert only_wait(browser())["import_url"] == "https://vendor.example/imports/1"


def test_numbers_that_json_cannot_represent_are_omitted(browser, database):
    database(SeededWait(published=published(percent_per_minute=float("inf"), ends_at=float("nan"))))
    wait = only_wait(browser())
    assert (wait["percent_per_minute"], wait["ends_at"]) == (None, None)


def test_a_pace_that_overflows_is_omitted(browser, database):
    database(SeededWait(published=published(percent_per_minute=1e308)))
    assert only_wait(browser())["records_per_minute"] is None


def test_the_vendors_error_file_and_files_are_included(browser, database):
    files = [{"name": "1.json", "imported_rows": 5, "total_rows": 7, "error": "row 6"}, "no file", {"name": True}]
    details = {"error_file": "https://vendor.example/errors.csv", "files": files}
    database(SeededWait(published=published(details=details)))
    wait = only_wait(browser())
    assert wait["error_file"] == "https://vendor.example/errors.csv"
    assert wait["files"] == [
        {"name": "1.json", "state": None, "imported_rows": 5, "total_rows": 7, "error": "row 6"},
        {"name": "True", "state": None, "imported_rows": None, "total_rows": None, "error": None},
    ]


@pytest.mark.parametrize("details", [{"error_file": "javascript:alert(1)"}, {"error_file": 7, "files": "none"}, {}])
def test_invalid_details_are_omitted(browser, database, details):
    database(SeededWait(published=published(details=details)))
    wait = only_wait(browser())
    assert (wait["error_file"], wait["files"]) == (None, [])


def test_at_most_twenty_files_are_included(browser, database):
    database(SeededWait(published=published(details={"files": [{"name": str(number)} for number in range(30)]})))
    assert len(only_wait(browser())["files"]) == 20


def test_the_times_of_the_vendor_are_in_seconds(browser, database):
    times = {"started_at": "2026-11-26T02:00:00+00:00", "finished_at": "2026-11-26T03:00:00+01:00"}
    values = published().progress | times
    database(SeededWait(published=dataclasses.replace(published(), progress=values)))
    wait = only_wait(browser())
    assert (wait["vendor_started_at"], wait["vendor_finished_at"]) == (1795658400, 1795658400)


def test_a_wait_took_the_time_until_its_end(browser, database):
    database(SeededWait(task_state="success", published=published()))
    wait = only_wait(browser())
    assert wait["took"] == pytest.approx(wait["ended_at"] - (NOW - 600), abs=0.01)


@pytest.mark.parametrize("run_id", ["manual__2026-01-01T00:00:00+00:00", "a/b?c=d&e#f", '50 % "é" <script>', "run+1"])
def test_one_wait_is_found_for_any_run_id(browser, database, run_id):
    database(SeededWait(dag_id="leaves.é", run_id=run_id, map_index=3, published=published()))
    parameters = {"dag_id": "leaves.é", "run_id": run_id, "task_id": "wait", "map_index": 3}
    wait = browser().get(WAIT, params=parameters).json()["wait"]
    assert wait["run_id"] == run_id
    assert [percent for _, percent in wait["history"]] == [0.0, 42.0]
