# SPDX-License-Identifier: Apache-2.0
"""The app of the "Imports" page, mounted in Airflow's app with a real metadata database and Airflow's permissions."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.plugins_manager import AirflowPlugin

if not hasattr(AirflowPlugin, "external_views"):
    pytest.skip("this Airflow has no external views", allow_module_level=True)

from airflow import settings
from airflow.utils.session import create_session
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy import text as sql

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


@pytest.mark.parametrize(
    ("task_state", "progress", "status"),
    [
        ("deferred", None, "waiting"),
        ("deferred", ("pending", None), "waiting"),
        ("deferred", ("running", 42.0), "running"),
        ("up_for_reschedule", ("running", 42.0), "running"),
        ("running", ("action_required", 42.0), "needs_action"),
        ("queued", ("succeeded", 100.0), "waiting"),
        (None, ("running", 42.0), "running"),
        ("success", ("succeeded", 100.0), "done"),
        ("success", None, "done"),
        ("failed", ("failed", 42.0), "failed"),
        ("failed", ("cancelled", 42.0), "failed"),
        ("failed", ("succeeded", 100.0), "failed"),
        ("failed", ("running", 42.0), "gave_up"),
        ("failed", None, "gave_up"),
        ("upstream_failed", None, "gave_up"),
        ("skipped", ("failed", 42.0), "skipped"),
        ("up_for_retry", ("running", 42.0), "retrying"),
    ],
)
def test_the_status_combines_the_states_of_import_and_task(browser, database, task_state, progress, status):
    database(SeededWait(task_state=task_state, published=published(progress=progress)))
    assert only_wait(browser())["state"] == status
    assert only_wait(browser(), state=status)["state"] == status


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


def test_a_value_stored_as_text_is_parsed(browser, database):
    database(SeededWait(published=json.dumps(published().to_dict())))
    assert only_wait(browser())["percent"] == 42.0


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


@pytest.mark.parametrize("run_id", ["manual__2026-01-01T00:00:00+00:00", "a/b?c=d&e#f", '50 % "é" <script>', "run+1"])
def test_one_wait_is_found_for_any_run_id(browser, database, run_id):
    database(SeededWait(dag_id="leaves.é", run_id=run_id, map_index=3, published=published()))
    parameters = {"dag_id": "leaves.é", "run_id": run_id, "task_id": "wait", "map_index": 3}
    wait = browser().get(WAIT, params=parameters).json()["wait"]
    assert wait["run_id"] == run_id
    assert [percent for _, percent in wait["history"]] == [0.0, 42.0]


# ---- Filters and limits


def test_filters_narrow_the_list(browser, database):
    database(
        SeededWait(dag_id="leaves", published=published()),
        SeededWait(dag_id="leads", published=published(vendor="Leadsy")),
        SeededWait(dag_id="old_leads", task_state="success", published=published(vendor="Leadsy")),
    )
    client = browser()

    def dags(**filters):
        return {wait["dag_id"] for wait in client.get(WAITS, params=filters).json()["waits"]}

    assert dags() == {"leaves", "leads", "old_leads"}
    assert dags(vendor="Leadsy") == {"leads", "old_leads"}
    assert dags(state="under_way") == {"leaves", "leads"}
    assert dags(state="done", vendor="Leadsy") == {"old_leads"}
    assert dags(dag_id="leaves") == {"leaves"}
    assert dags(dag_id="leaves", vendor="Leadsy") == set()


def test_an_unknown_state_is_rejected(browser):
    assert browser().get(WAITS, params={"state": "paused"}).status_code == 422


def test_several_states_may_be_requested(browser, database):
    database(
        SeededWait(dag_id="failed", task_state="failed", published=published(progress=("failed", 42.0))),
        SeededWait(dag_id="gave_up", task_state="failed", published=published()),
        SeededWait(dag_id="done", task_state="success", published=published()),
    )
    waits = browser().get(WAITS, params={"state": ["failed", "gave_up"]}).json()["waits"]
    assert {wait["dag_id"] for wait in waits} == {"failed", "gave_up"}


def test_waits_that_ended_earlier_may_be_left_out(browser, database):
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for task_state in ("deferred", "up_for_retry", "success", "failed", "removed"):
        fields = {"task_state": task_state, "published": published()}
        database(
            SeededWait(dag_id=f"{task_state} now", **fields),
            SeededWait(dag_id=f"{task_state} earlier", published_at=an_hour_ago, **fields),
        )
    waits = browser().get(WAITS, params={"ended_within": 1800}).json()["waits"]
    assert {wait["dag_id"] for wait in waits if wait["dag_id"].endswith("earlier")} == {
        "deferred earlier",
        "up_for_retry earlier",
    }
    assert len(waits) == 5 + 2


@pytest.mark.parametrize("ended_within", [0, -1, 10**9, "a while"])
def test_an_invalid_time_since_the_end_is_rejected(browser, ended_within):
    assert browser().get(WAITS, params={"ended_within": ended_within}).status_code == 422


def many(count, **fields):
    return [
        SeededWait(
            map_index=index, published=published(), published_at=datetime.now(UTC) - timedelta(seconds=index), **fields
        )
        for index in range(count)
    ]


def test_at_most_two_hundred_are_listed_and_those_under_way_come_first(browser, database):
    database(*many(250, dag_id="over", task_state="success"))
    database(SeededWait(dag_id="long", published=published(), published_at=datetime.now(UTC) - timedelta(days=3)))
    response = browser().get(WAITS).json()
    assert len(response["waits"]) == 200
    assert response["older"]
    assert response["waits"][0]["dag_id"] == "long"


def test_a_complete_list_reports_no_older_waits(browser, database):
    database(*many(200))
    response = browser().get(WAITS).json()
    assert (len(response["waits"]), response["older"]) == (200, False)


def test_a_filter_by_vendor_scans_the_newest_thousand(browser, database):
    database(*many(1005, task_state="failed"))
    response = browser().get(WAITS, params={"vendor": "Leadsy"}).json()
    assert (response["waits"], response["scanned"], response["older"]) == ([], 1000, True)


def test_runs_of_the_last_days_and_unfinished_runs_are_listed(browser, database):
    now = datetime.now(UTC)
    database(
        SeededWait(dag_id="today", task_state="success", published=published()),
        SeededWait(dag_id="long", run_after=now - timedelta(days=90), published=published()),
    )
    old = {"task_state": "success", "run_state": "success", "published": published()}
    database(SeededWait(dag_id="last_month", run_after=now - timedelta(days=20), **old))
    database(SeededWait(dag_id="last_year", run_after=now - timedelta(days=200), **old))
    client = browser()

    def dags(**filters):
        return {wait["dag_id"] for wait in client.get(WAITS, params=filters).json()["waits"]}

    assert dags() == {"today", "long"}
    assert dags(days=31) == {"today", "long", "last_month"}
    assert dags(days=3660) == {"today", "long", "last_month", "last_year"}
    assert dags(days=31, dag_id="last_year") == set()
    one = {"dag_id": "last_year", "run_id": SeededWait.run_id, "task_id": "wait"}
    assert client.get(WAIT, params=one).status_code == 200


@pytest.mark.parametrize("days", [0, -1, 10**6, "all"])
def test_an_invalid_number_of_days_is_rejected(browser, days):
    assert browser().get(WAITS, params={"days": days}).status_code == 422


#: Values that no wait publishes, but that any task may push under the same key.
NASTY = [
    "1e400",
    "-1e400",
    "1" * 400,
    "1" * 5000,
    "-1",
    "1.5",
    "true",
    '"text"',
    '"\\ud800"',
    '"' + "x" * 100_000 + '"',
    "[]",
    "[[]]",
    "{}",
    '{"a": [1e400]}',
    "null",
    "[" * 2000 + "]" * 2000,
]


def refuse_constant(name):
    raise AssertionError(f"{name} is not JSON, and browsers reject it")


@pytest.mark.parametrize("of_progress", [False, True])
def test_an_invalid_xcom_affects_only_its_own_row(browser, database, of_progress):
    values = published().to_dict()
    fields = values["progress"] if of_progress else values
    texts = []
    for name in fields:
        for nasty in NASTY:
            changed = {**fields, name: "NASTY"}
            whole = json.dumps({**values, "progress": changed} if of_progress else changed)
            texts.append(whole.replace('"NASTY"', nasty))
    database(*(SeededWait(map_index=index, published={}) for index in range(len(texts))))
    database(SeededWait(dag_id="good", published=published()))
    with create_session() as session:
        for index, text in enumerate(texts):
            session.execute(
                sql("UPDATE xcom SET value = :value WHERE map_index = :index"), {"value": text, "index": index}
            )
    client = browser()
    response = client.get(WAITS, params={"vendor": "Lucca"})
    assert response.status_code == 200
    waits = json.loads(response.text, parse_constant=refuse_constant)["waits"]
    assert "good" in {wait["dag_id"] for wait in waits}
    assert len(response.content) < 1_000_000
    for index in range(len(texts)):
        one = {"dag_id": "imports", "run_id": SeededWait.run_id, "task_id": "wait", "map_index": index}
        response = client.get(WAIT, params=one)
        assert response.status_code in (200, 404)
        json.loads(response.text, parse_constant=refuse_constant)


# ---- Cost


@contextmanager
def counted_queries():
    statements = []

    def count(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(settings.engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        event.remove(settings.engine, "before_cursor_execute", count)


@pytest.mark.parametrize(
    "filters",
    [{}, {"vendor": "Lucca", "state": "running"}, {"dag_id": "imports"}, {"ended_within": 3600}],
)
def test_a_thousand_waits_need_no_more_queries_than_ten(browser, database, filters):
    client = browser()
    client.get(WAITS, params=filters)  # Airflow caches some of its first queries.
    counts = []
    for waits in (many(10, run_id="few"), many(1000, run_id="many")):
        database(*waits)
        with counted_queries() as statements:
            assert client.get(WAITS, params=filters).json()["waits"]
        counts.append(len(statements))
        assert sum("FROM xcom" in statement for statement in statements) == 1
        assert "LIMIT" in next(statement for statement in statements if "FROM xcom" in statement)
    assert counts[0] == counts[1]
    assert counts[0] <= 5
