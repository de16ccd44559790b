# SPDX-License-Identifier: Apache-2.0
"""The lists of the "Imports" page, as each database of Airflow returns them: filters, search, order, pages, summary."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.plugins_manager import AirflowPlugin

if not hasattr(AirflowPlugin, "external_views"):
    pytest.skip("this Airflow has no external views", allow_module_level=True)

from airflow import settings
from airflow.utils.session import create_session
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy import text as sql
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError

from airflow_import_progress.plugin.queries import SortKey, candidates_query, matching, page_query
from airflow_import_progress.waiting.published import PublishedStart, PublishedStartState
from tests.support.imports_page import NOW, airflows_app, published, token_of
from tools.postgres import postgres
from tools.seed_waits import SeededWait

WAITS = "/import-progress/api/waits"
WAIT = "/import-progress/api/wait"


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def app(request, tmp_path_factory):
    """Airflow's app on one of the databases."""
    folder = tmp_path_factory.mktemp("airflow")
    if request.param == "SQLite":
        with airflows_app(folder) as app:
            yield app
    else:
        with postgres() as server, airflows_app(folder, server.url) as app:
            yield app


@pytest.fixture
def database(app):
    """Return a function that stores waits in an empty database."""
    from tests.support.imports_page import empty_database, store_waits

    empty_database()
    return store_waits


@pytest.fixture
def client(app):
    """A client of a user who may read everything."""
    client = TestClient(app)
    client.cookies.set("_token", token_of("reads everything"))
    return client


@pytest.fixture
def get(client):
    """Return a function that returns an answer of the API, by default for a user who may read everything."""

    def get(address, username="reads everything", **parameters):
        client.cookies.set("_token", token_of(username))
        response = client.get(address, params=parameters)
        assert response.status_code == 200, response.text
        return json.loads(response.text, parse_constant=refuse_constant)

    return get


@pytest.fixture
def dags(get):
    """Return a function that returns the ids of the DAGs in a list, in its order."""

    def dags(**parameters):
        return [wait["dag_id"] for wait in get(WAITS, **parameters)["waits"]]

    return dags


def refuse_constant(name):
    raise AssertionError(f"{name} is not JSON, and browsers reject it")


def ago(**time):
    return datetime.now(UTC) - timedelta(**time)


def many(count, **fields):
    return [
        SeededWait(
            map_index=index, published=published(), published_at=datetime.now(UTC) - timedelta(seconds=index), **fields
        )
        for index in range(count)
    ]


def succeeded(**fields):
    return published(progress=("succeeded", 100.0), **fields)


def started(state, progress=None, **fields):
    """Return what a task publishes that has started its import."""
    start = PublishedStart(state=PublishedStartState(state), sent_at=NOW - 700, content="the file '/data/leaves.csv'")
    return published(progress=progress, start=start, **fields)


# ---- The status


@pytest.mark.parametrize(
    ("task_state", "progress", "status"),
    [
        ("deferred", None, "waiting"),
        ("deferred", ("pending", None), "waiting"),
        ("deferred", ("running", 42.0), "running"),
        ("up_for_reschedule", ("running", 42.0), "running"),
        ("running", ("action_required", 42.0), "needs_action"),
        ("queued", ("succeeded", 100.0), "waiting"),
        (None, ("running", 42.0), "waiting"),
        ("success", ("succeeded", 100.0), "done"),
        ("success", ("failed", 42.0), "task_succeeded"),
        ("success", ("running", 42.0), "task_succeeded"),
        ("success", None, "task_succeeded"),
        ("failed", ("failed", 42.0), "failed"),
        ("failed", ("cancelled", 42.0), "failed"),
        ("failed", ("succeeded", 100.0), "failed"),
        ("failed", ("running", 42.0), "gave_up"),
        ("failed", None, "gave_up"),
        ("upstream_failed", ("succeeded", 100.0), "gave_up"),
        ("removed", ("failed", 42.0), "gave_up"),
        ("skipped", ("failed", 42.0), "skipped"),
        ("up_for_retry", ("running", 42.0), "retrying"),
    ],
)
def test_the_status_combines_the_states_of_import_and_task(get, database, task_state, progress, status):
    database(SeededWait(task_state=task_state, published=published(progress=progress)))
    assert only(get(WAITS))["state"] == status
    assert only(get(WAITS, state=status))["state"] == status


@pytest.mark.parametrize(
    ("task_state", "start", "progress", "status"),
    [
        ("running", "starting", None, "waiting"),
        ("running", "started", None, "waiting"),
        ("deferred", "started", ("running", 42.0), "running"),
        ("up_for_retry", "unknown", None, "retrying"),
        ("success", "started", ("succeeded", 100.0), "done"),
        ("success", "not_awaited", None, "started"),
        ("success", "starting", None, "task_succeeded"),
        ("failed", "starting", ("running", 42.0), "gave_up"),
        ("success", "unknown", None, "task_succeeded"),
        ("success", "not_started", None, "task_succeeded"),
        ("failed", "failed", None, "failed"),
        ("failed", "starting", None, "start_unknown"),
        ("failed", "unknown", None, "start_unknown"),
        ("skipped", "unknown", None, "start_unknown"),
        ("skipped", "not_started", None, "skipped"),
        ("failed", "not_started", None, "failed"),
        ("failed", "started", None, "gave_up"),
        ("failed", "started", ("failed", 42.0), "failed"),
    ],
)
def test_the_status_of_an_operator_includes_its_start(get, database, task_state, start, progress, status):
    database(SeededWait(task_state=task_state, published=started(start, progress)))
    assert only(get(WAITS))["state"] == status
    assert only(get(WAITS, state=status))["state"] == status


def test_the_start_in_an_earlier_try_is_ignored(get, database):
    database(SeededWait(task_state="failed", try_number=2, published=started("unknown", try_number=1)))
    wait = only(get(WAITS))
    assert (wait["state"], wait["start"]) == ("gave_up", None)


@pytest.mark.parametrize(
    ("task_state", "published_", "status"),
    [
        ("failed", lambda: published(progress=("failed", 42.0), try_number=1), "gave_up"),
        ("failed", lambda: started("not_started", try_number=1), "gave_up"),
        ("success", lambda: started("not_awaited", try_number=1), "task_succeeded"),
        ("success", lambda: published(progress=("succeeded", 100.0), try_number=1), "task_succeeded"),
        ("deferred", lambda: published(try_number=1), "waiting"),
    ],
)
def test_what_an_earlier_try_published_is_ignored(get, database, task_state, published_, status):
    database(SeededWait(task_state=task_state, try_number=2, published=published_()))
    assert only(get(WAITS))["state"] == status


def test_a_start_of_a_later_version_does_not_hide_the_import(get, database):
    values = published(progress=("failed", 42.0)).to_dict() | {"start": {"state": "paused"}}
    database(SeededWait(task_state="failed", published=values))
    wait = only(get(WAITS))
    assert (wait["state"], wait["start"]) == ("failed", None)


@pytest.mark.parametrize(("task_state", "is_shown"), [("running", False), ("deferred", False), ("failed", True)])
def test_the_advice_for_a_step_that_the_operator_takes_itself_is_not_shown(get, database, task_state, is_shown):
    published_ = started("started", ("action_required", 10.0), error="Continue it with startImport.")
    database(SeededWait(task_state=task_state, published=published_))
    assert (only(get(WAITS))["error"] is not None) == is_shown


def test_a_start_has_its_time_and_its_content(get, database):
    database(SeededWait(published=started("started", ("running", 42.0))))
    assert only(get(WAITS))["start"] == {
        "state": "started",
        "sent_at": pytest.approx(NOW - 700),
        "content": "the file '/data/leaves.csv'",
    }


def only(answer):
    (wait,) = answer["waits"]
    return wait


# ---- Filters and limits


def test_filters_narrow_the_list(dags, database):
    database(
        SeededWait(dag_id="leaves", published=published()),
        SeededWait(dag_id="leads", published=published(vendor="Leadsy")),
        SeededWait(dag_id="old_leads", task_state="success", published=succeeded(vendor="Leadsy")),
    )
    assert set(dags()) == {"leaves", "leads", "old_leads"}
    assert set(dags(vendor="leadsy")) == {"leads", "old_leads"}
    assert set(dags(state="under_way")) == {"leaves", "leads"}
    assert dags(state="done", vendor="Leadsy") == ["old_leads"]
    assert dags(dag_id="leaves") == ["leaves"]
    assert dags(dag_id="leaves", vendor="Leadsy") == []


def test_those_that_went_wrong_are_failed_or_of_unknown_outcome(dags, database):
    database(
        SeededWait(dag_id="failed", task_state="failed", published=published(progress=("failed", 42.0))),
        SeededWait(dag_id="gave_up", task_state="failed", published=published()),
        SeededWait(dag_id="unknown", task_state="failed", published=started("unknown")),
        SeededWait(dag_id="skipped", task_state="skipped", published=published()),
        SeededWait(dag_id="retrying", task_state="up_for_retry", published=published()),
    )
    assert set(dags(state="went_wrong")) == {"failed", "gave_up", "unknown"}


def test_several_states_may_be_requested(dags, database):
    database(
        SeededWait(dag_id="failed", task_state="failed", published=published(progress=("failed", 42.0))),
        SeededWait(dag_id="gave_up", task_state="failed", published=published()),
        SeededWait(dag_id="done", task_state="success", published=published()),
    )
    assert set(dags(state=["failed", "gave_up"])) == {"failed", "gave_up"}


def test_waits_that_ended_earlier_may_be_left_out(dags, database):
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for task_state in ("deferred", "up_for_retry", "success", "failed", "removed"):
        fields = {"task_state": task_state, "published": published()}
        database(
            SeededWait(dag_id=f"{task_state} now", **fields),
            SeededWait(dag_id=f"{task_state} earlier", published_at=an_hour_ago, **fields),
        )
    listed = dags(ended_within=1800)
    assert {dag_id for dag_id in listed if dag_id.endswith("earlier")} == {"deferred earlier", "up_for_retry earlier"}
    assert len(listed) == 5 + 2


def test_runs_of_the_last_days_and_unfinished_runs_are_listed(get, dags, database):
    database(
        SeededWait(dag_id="today", task_state="success", published=published()),
        SeededWait(dag_id="long", run_after=ago(days=90), published=published()),
    )
    old = {"task_state": "success", "run_state": "success", "published": published()}
    database(SeededWait(dag_id="last_month", run_after=ago(days=20), **old))
    database(SeededWait(dag_id="last_year", run_after=ago(days=200), **old))
    assert set(dags()) == {"today", "long"}
    assert set(dags(days=31)) == {"today", "long", "last_month"}
    assert set(dags(days=3660)) == {"today", "long", "last_month", "last_year"}
    assert dags(days=31, dag_id="last_year") == []
    one = get(WAIT, dag_id="last_year", run_id=SeededWait.run_id, task_id="wait")
    assert one["wait"]["state"] == "task_succeeded"


@pytest.mark.parametrize(
    "parameters",
    [
        *({"ended_within": value} for value in (0, -1, 10**9, "a while")),
        *({"days": value} for value in (0, -1, 10**6, "all")),
        *({"offset": value} for value in (-1, 10**9)),
        *({"limit": value} for value in (0, 201)),
        *({"sort": value} for value in ("import_id", "--took", "took,import")),
        *({"day_began_at": value} for value in (-1, 1e300, "nan", "today")),
        {"state": "paused"},
        {"search": "x" * 201},
        *({name: "a\x00b"} for name in ("search", "vendor")),
    ],
    ids=str,
)
def test_invalid_parameters_are_rejected(client, parameters):
    assert client.get(WAITS, params=parameters).status_code == 422


# ---- Search


@pytest.mark.parametrize(
    "search",
    [
        "IMP-7",
        "imp-7",
        "leaves_of",
        "wait_for_leaves",
        "scheduled__2026",
        "row 1,041",
        "status -1",
        "100 %",
        " leaves ",
    ],
)
def test_a_search_finds_ids_and_messages(dags, database, search):
    ended = {"error": "failed (status -1)"} if search == "status -1" else {"message": "row 1,041: 100 % wrong"}
    database(
        SeededWait(
            dag_id="leaves_of_june",
            task_id="wait_for_leaves",
            run_id="scheduled__2026-06-01",
            task_state="failed",
            published=published(import_id="IMP-7", **ended),
        ),
        SeededWait(dag_id="others", published=published(import_id="8")),
    )
    assert dags(search=search) == ["leaves_of_june"]


def test_texts_in_other_languages_are_found(dags, database):
    vendor = "Österreich Post"
    database(SeededWait(published=published(vendor, import_id="ÄÖ-1")))
    assert dags(vendor=vendor) == dags(search="ÄÖ-1") == ["imports"]


@pytest.mark.parametrize("search", ["percent", "lucca_default", "%", "_", "2,000", "'; DROP TABLE xcom; --", "\\"])
def test_a_search_finds_nothing_but_these(dags, database, search):
    database(SeededWait(run_id="run", published=published()))
    assert dags(search=search) == []


def test_a_message_of_an_earlier_try_is_not_found(dags, database):
    database(SeededWait(try_number=2, published=published(try_number=1, error="HTTP 503", message="row 503")))
    assert dags(search="503") == []


def test_any_character_may_be_searched(dags, database):
    database(SeededWait(published=published(import_id="📦 7")))
    assert dags(search="📦") == ["imports"]


# ---- Order and pages


def test_those_under_way_come_first_and_then_those_that_ended_last(dags, database):
    database(
        SeededWait(dag_id="ended earlier", task_state="success", published_at=ago(hours=2), published=published()),
        SeededWait(dag_id="ended", task_state="failed", published_at=ago(hours=1), published=published()),
        SeededWait(dag_id="long", published_at=ago(days=3), published=published(waiting_since=NOW - 90_000)),
        SeededWait(dag_id="new", published_at=ago(hours=3), published=published(waiting_since=NOW - 60)),
    )
    assert dags() == ["new", "long", "ended", "ended earlier"]


def test_the_order_of_those_under_way_does_not_change_with_a_poll(dags, database):
    database(*(SeededWait(dag_id=name, published=published(waiting_since=NOW - ago_)) for name, ago_ in AGES.items()))
    before = dags()
    with create_session() as session:
        session.execute(
            sql("UPDATE xcom SET timestamp = :now WHERE dag_id = 'old'"),
            {"now": datetime.now(UTC) + timedelta(hours=1)},
        )
    assert dags() == before == ["young", "middle", "old"]


AGES = {"young": 60, "middle": 600, "old": 6000}


@pytest.fixture
def three(database):
    """Three waits that differ in every column: b, then c, then a have the smallest values."""
    values = {
        "b": ("Leadsy", "1", "task_1", "success", 10.0, 200, ago(minutes=50)),
        "c": ("Leadsy", "2", "task_2", "failed", 50.0, 300, ago(minutes=40)),
        "a": ("Lucca", "0", "task_3", "skipped", 90.0, 600, ago(minutes=30)),
    }
    waits = []
    for name, (vendor, import_id, task_id, task_state, percent, took, ended_at) in values.items():
        published_ = published(
            vendor=vendor,
            import_id=import_id,
            progress=("succeeded" if task_state == "success" else "failed", percent),
            waiting_since=ended_at.timestamp() - took,
        )
        waits.append(
            SeededWait(
                dag_id=f"dag_{'bca'.index(name)}",
                task_id=task_id,
                run_id=name,
                task_state=task_state,
                published_at=ended_at,
                published=published_,
            )
        )
    database(*reversed(waits))


@pytest.mark.parametrize("key", ["import", "task", "state", "progress", "started", "took", "ended"])
def test_each_column_sorts_in_both_directions(get, three, key):
    runs = {sort: [wait["run_id"] for wait in get(WAITS, sort=sort)["waits"]] for sort in (key, f"-{key}")}
    assert runs == {key: ["b", "c", "a"], f"-{key}": ["a", "c", "b"]}


@pytest.mark.parametrize("sort", ["progress", "-progress", "ended", "-ended"])
def test_waits_without_a_value_come_last_in_both_directions(dags, database, sort):
    database(
        SeededWait(dag_id="none", try_number=2, published=published()),
        SeededWait(dag_id="some", task_state="success", published=published()),
    )
    assert dags(sort=sort) == ["some", "none"]


@pytest.mark.parametrize(
    ("sort", "expected"), [("", ["new", "long"]), ("-started", ["new", "long"]), ("-took", ["long", "new"])]
)
def test_a_try_that_has_published_nothing_began_with_its_task(dags, get, database, sort, expected):
    long = published(waiting_since=time.time() - 9000)
    database(SeededWait(dag_id="long", published=long), SeededWait(dag_id="new", try_number=2, published=published()))
    assert dags(sort=sort) == expected
    assert get(WAITS, dag_id="new")["waits"][0]["waiting_since"] == pytest.approx(time.time() - 600, abs=60)


@pytest.mark.parametrize("sort", ["", "took", "-import"])
def test_the_pages_contain_each_wait_once(get, database, sort):
    database(*many(10), *many(13, dag_id="over", task_state="success"))
    seen, offset = [], 0
    while offset is not None:
        answer = get(WAITS, sort=sort, offset=offset, limit=7)
        seen += [(wait["dag_id"], wait["map_index"]) for wait in answer["waits"]]
        offset = answer["next_offset"]
    assert len(seen) == len(set(seen)) == 23


def test_a_page_has_fifty_waits_and_at_most_two_hundred(get, database):
    database(*many(201))
    assert (len(get(WAITS)["waits"]), get(WAITS)["next_offset"]) == (50, 50)
    assert (len(get(WAITS, limit=200)["waits"]), get(WAITS, limit=200)["next_offset"]) == (200, 200)
    assert (len(get(WAITS, limit=200, offset=200)["waits"]), get(WAITS, offset=200)["next_offset"]) == (1, None)


def test_a_filter_finds_what_a_thousand_newer_waits_precede(dags, database):
    database(
        *many(1005, task_state="failed"),
        SeededWait(dag_id="leads", task_state="failed", published_at=ago(hours=3), published=published("Leadsy")),
    )
    assert dags(vendor="Leadsy") == ["leads"]


# ---- The summary


@pytest.fixture
def midnight():
    """An hour ago, as the beginning of the user's day."""
    return NOW - 3600


def test_the_summary_counts_what_is_under_way_and_what_ended_today(get, database, midnight):
    database(
        *many(3),
        SeededWait(dag_id="done", task_state="success", published=published()),
        SeededWait(dag_id="failed", task_state="failed", published=published(progress=("failed", 42.0))),
        SeededWait(dag_id="gave_up", task_state="failed", published=published()),
        SeededWait(dag_id="start_unknown", task_state="skipped", published=started("unknown")),
        SeededWait(dag_id="yesterday", task_state="failed", published_at=ago(hours=5), published=published()),
    )
    summary = get(WAITS, day_began_at=midnight, vendor="Leadsy")["summary"]
    assert (summary["under_way"], summary["ended"], summary["went_wrong"]) == (3, 4, 3)


def test_the_slowest_is_under_way_or_ended_today(get, database, midnight):
    database(
        SeededWait(dag_id="slow", task_state="success", published=published(waiting_since=time.time() - 7200)),
        SeededWait(dag_id="quick", published=published(waiting_since=NOW - 60)),
        SeededWait(
            dag_id="yesterday",
            task_state="success",
            published_at=ago(hours=5),
            published=published(waiting_since=NOW - 90_000),
        ),
    )
    slowest = get(WAITS, day_began_at=midnight)["summary"]["slowest"]
    assert (slowest["dag_id"], slowest["took"]) == ("slow", pytest.approx(7200, abs=60))


def test_a_summary_of_nothing_has_no_slowest(get, database, midnight):
    assert get(WAITS, day_began_at=midnight)["summary"] == {
        "under_way": 0,
        "ended": 0,
        "went_wrong": 0,
        "dag_ids": [],
        "slowest": None,
    }


def test_the_summary_has_the_dags_to_choose_from(get, database, midnight):
    database(*many(3), SeededWait(dag_id="leaves", task_state="success", published=published()))
    assert get(WAITS, day_began_at=midnight, dag_id="leaves")["summary"]["dag_ids"] == ["imports", "leaves"]


def test_xcoms_of_other_tasks_with_the_same_key_are_not_counted(get, database, midnight):
    values = {"try_number": 1, "waiting_since": 0}
    database(SeededWait(task_state="failed", published=values), SeededWait(dag_id="leaves", published=published()))
    answer = get(WAITS, day_began_at=midnight, limit=1)
    assert (answer["summary"]["ended"], answer["summary"]["dag_ids"], answer["next_offset"]) == (0, ["leaves"], None)


def test_an_end_today_of_an_old_run_counts(get, database, midnight):
    database(SeededWait(task_state="failed", run_state="failed", run_after=ago(days=60), published=published()))
    assert get(WAITS, day_began_at=midnight)["summary"]["went_wrong"] == 1


def test_the_summary_counts_only_readable_dags(get, database, midnight):
    fields = {"task_state": "failed", "published": published(waiting_since=NOW - 7200)}
    database(SeededWait(dag_id="payroll_of_the_board", **fields), SeededWait(dag_id="leaves", published=published()))
    summary = get(WAITS, username="reads one DAG", day_began_at=midnight)["summary"]
    assert (summary["under_way"], summary["went_wrong"], summary["slowest"]["dag_id"]) == (1, 0, "leaves")
    assert summary["dag_ids"] == ["leaves"]


def test_a_day_that_began_long_ago_covers_the_last_week(get, database):
    fields = {"task_state": "success", "run_state": "success", "run_after": ago(days=30), "published": published()}
    database(SeededWait(dag_id="old", published_at=ago(days=8), **fields), SeededWait(dag_id="new", **fields))
    assert get(WAITS, day_began_at=0)["summary"]["ended"] == 1


def test_without_a_day_there_is_no_summary(get, database):
    assert "summary" not in get(WAITS)


# ---- Earlier durations


def earlier(count, minutes=10, **fields):
    """Return waits of the same task in earlier runs, one a day, the oldest first."""
    waits = []
    for number in range(count):
        ended_at = ago(days=count + 1 - number)
        published_ = succeeded(waiting_since=ended_at.timestamp() - 60 * minutes)
        values = {"run_id": f"run {number}", "run_after": ended_at, "run_state": "success", "task_state": "success"}
        waits.append(SeededWait(**values | {"published_at": ended_at, "published": published_} | fields))
    return waits


@pytest.fixture
def today(get):
    """Return a function that returns today's wait with the earlier durations."""

    def today(**parameters):
        return get(WAIT, **{"dag_id": "imports", "run_id": "today", "task_id": "wait"} | parameters)["wait"]

    return today


def test_a_wait_has_the_last_thirty_durations_of_its_task_the_oldest_first(today, database):
    database(*earlier(33), SeededWait(run_id="today", published=published()))
    durations = today()["durations"]
    assert [duration["run_id"] for duration in durations] == [f"run {number}" for number in range(3, 33)]
    assert durations[0]["took"] == pytest.approx(600)
    assert durations[0]["state"] == "done"
    assert durations[-1]["ended_at"] == pytest.approx(time.time() - 2 * 86400, abs=60)


def test_durations_of_other_tasks_and_runs_are_left_out(today, database):
    failed_ = {"task_state": "failed"}
    database(
        *earlier(1, task_id="other"),
        *earlier(1, map_index=3),
        *earlier(1, dag_id="other"),
        *earlier(1, run_id="gave up", published=published(), **failed_),
        *earlier(1, run_id="marked", published=published()),
        *earlier(1, run_id="not started", published=started("not_started"), **failed_),
        *earlier(1, run_id="later", run_after=datetime.now(UTC) + timedelta(days=1)),
        *earlier(1, run_id="failed", published=published(progress=("failed", 42.0)), **failed_),
        SeededWait(run_id="today", published=published()),
    )
    assert [(duration["run_id"], duration["state"]) for duration in today()["durations"]] == [("failed", "failed")]


@pytest.mark.parametrize(
    ("minutes", "task_state", "is_slow"),
    [(14, "success", False), (16, "success", True), (14, "deferred", False), (16, "deferred", True)],
)
def test_a_wait_is_slow_if_it_takes_half_as_long_again_as_usual(today, database, minutes, task_state, is_slow):
    since = time.time() - 60 * minutes
    # The time since the last poll counts too.
    published_ = published(waiting_since=since, polled_at=since)
    database(*earlier(5), SeededWait(run_id="today", task_state=task_state, published=published_))
    wait = today()
    assert (wait["usual_took"], wait["is_slow"]) == (pytest.approx(600), is_slow)


def test_a_wait_is_not_slow_if_several_earlier_ones_took_longer(today, database):
    database(
        *earlier(8),
        *(wait for number in range(2) for wait in earlier(1, 60, run_id=f"slow {number}")),
        SeededWait(run_id="today", task_state="success", published=published(waiting_since=NOW - 1800)),
    )
    assert today()["is_slow"] is False


def test_four_earlier_durations_show_nothing_usual(today, database):
    long = published(waiting_since=NOW - 90_000)
    database(*earlier(4), SeededWait(run_id="today", task_state="success", published=long))
    assert (today()["usual_took"], today()["is_slow"]) == (None, False)


# ---- Robustness


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


@pytest.fixture(params=["", "progress", "start"])
def nasty_waits(request, database):
    """Store waits whose published values, or a part of them, are nasty in turn. Return their map indexes."""
    values = started("started", ("running", 42.0)).to_dict()
    fields = values[request.param] if request.param else values
    texts = []
    for name, nasty in itertools.product(fields, NASTY):
        changed = {**fields, name: "NASTY"}
        whole = json.dumps({**values, request.param: changed} if request.param else changed)
        texts.append(whole.replace('"NASTY"', nasty))
    database(*(SeededWait(map_index=index, published={}) for index in range(len(texts))))
    for index, text in enumerate(texts):
        # PostgreSQL refuses some.
        with contextlib.suppress(DBAPIError), create_session() as session:
            session.execute(
                sql("UPDATE xcom SET value = :value WHERE map_index = :index"), {"value": text, "index": index}
            )
    return range(len(texts))


@pytest.mark.parametrize("key", ["", "import", "task", "state", "progress", "started", "took", "ended"])
def test_an_invalid_xcom_affects_only_its_own_row(get, database, nasty_waits, key):
    database(SeededWait(dag_id="good", published=published()))
    answers = [get(WAITS, sort=key, limit=200, offset=offset, day_began_at=0) for offset in (0, 200)]
    assert "good" in {wait["dag_id"] for answer in answers for wait in answer["waits"]}
    assert len(json.dumps(answers)) < 2_000_000


def test_numbers_with_which_a_database_cannot_calculate_are_ignored(get, database):
    database(SeededWait(dag_id="good", published=published()))
    for value in ("9e131071", "-9e131071", "1e308", "-1e308"):
        values = json.dumps(published(waiting_since=0.0).to_dict()).replace(
            '"waiting_since": 0.0', f'"waiting_since": {value}'
        )
        database(SeededWait(run_id=value, published={}))
        with create_session() as session:
            session.execute(sql("UPDATE xcom SET value = :value WHERE run_id = :id"), {"value": values, "id": value})
    answer = get(WAITS, sort="-took", day_began_at=NOW - 3600)
    assert "good" in {wait["dag_id"] for wait in answer["waits"]}
    assert answer["summary"]["slowest"] is not None


@pytest.mark.parametrize("parameters", [{"search": "good"}, {"vendor": "Lucca"}, {"state": "running"}], ids=str)
def test_a_filter_ignores_what_is_invalid(get, database, nasty_waits, parameters):
    database(SeededWait(dag_id="good", published=published(waiting_since=NOW)))
    assert get(WAITS, **parameters, dag_id="good")["waits"]
    get(WAITS, **parameters)


def test_each_invalid_xcom_is_shown_alone_or_not_found(client, nasty_waits):
    for index in nasty_waits:
        one = {"dag_id": "imports", "run_id": SeededWait.run_id, "task_id": "wait", "map_index": index}
        response = client.get(WAIT, params=one)
        assert response.status_code in (200, 404)
        json.loads(response.text, parse_constant=refuse_constant)


@pytest.mark.parametrize("key", SortKey)
def test_the_queries_are_written_for_mysql_too(key):
    candidates = matching(candidates_query(ago(days=7)), "leaves")
    query = page_query(candidates, NOW, sort=key, descending=True, offset=0, limit=1)
    assert "JSON_EXTRACT(xcom.value, '$.progress.message')" in str(query.compile(dialect=mysql.dialect()))


# ---- Cost


@contextlib.contextmanager
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
    [{}, {"vendor": "Lucca", "state": "running"}, {"search": "3c90"}, {"sort": "-took"}, {"ended_within": 3600}],
    ids=str,
)
def test_a_thousand_waits_need_no_more_queries_than_ten(get, database, filters):
    get(WAITS, **filters)  # Airflow caches some of its first queries.
    counts = []
    for waits in (many(10, run_id="few"), many(1000, run_id="many")):
        database(*waits)
        with counted_queries() as statements:
            assert get(WAITS, day_began_at=NOW, **filters)["waits"]
        counts.append(len(statements))
        # The list, and of the summary: the counts and the slowest.
        assert sum("FROM xcom" in statement for statement in statements) == 3
    assert counts[0] == counts[1]
    assert counts[0] <= 5
