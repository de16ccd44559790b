# SPDX-License-Identifier: Apache-2.0
"""
What the "Imports" page asks of the database and of the API server.

Airflow's own app answers in this process, with its own permissions, on a database in which nothing else happens. What
the network and the browser take is not in it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_import_progress.waiting.published import MAX_HISTORY_POINTS, PublishedProgress
from benchmarks.triggerer import Figures
from tools.postgres import postgres

#: How many waits are kept in the database, and how many of them are under way.
STORED = ((10, 10), (1_000, 1_000), (100_000, 1_000))
#: How many waits a run has, and the time between two runs.
WAITS_PER_RUN, TIME_BETWEEN_RUNS = 10, timedelta(minutes=50)
ROUNDS = 20
WAITS, WAIT = "/import-progress/api/waits", "/import-progress/api/wait"
#: The queries of the lists: the page itself asks for the summary of a day, the command for a longer list.
LISTS: dict[str, dict[str, Any]] = {
    "list": {"day_began_at": time.time() - 12 * 60 * 60},
    "list_of_a_vendor": {"vendor": "Lucca"},
    "search": {"search": "3c90"},
    "sorted": {"sort": "-took"},
    "command": {"ended_within": 12 * 60 * 60, "limit": 200},
    "list_of_ten_years": {"days": 3660},
    "search_of_ten_years": {"days": 3660, "search": "3c90"},
    "sorted_of_ten_years": {"days": 3660, "sort": "-took"},
    "last_page_of_ten_years": {"days": 3660, "offset": 99_950},
}


def imports_page(seconds: float | None) -> Figures:
    """
    Measure the list and the details of one wait, for a user who may read everything.

    :param seconds: Anything makes for few rounds.
    """
    rounds = 5 if seconds else ROUNDS
    return {"rounds": rounds, "databases": {name: _measure(name, rounds) for name in ("SQLite", "PostgreSQL")}}


def _measure(database: str, rounds: int) -> list[Figures]:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        url = stack.enter_context(postgres()).url if database == "PostgreSQL" else f"sqlite:///{home}/airflow.db"
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "benchmarks.imports_page", str(rounds)],
            env={
                **os.environ,
                "AIRFLOW_HOME": home,
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures: list[Figures] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure_here(rounds: int) -> list[Figures]:
    from airflow import settings
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient
    from sqlalchemy import event

    initdb()
    client = TestClient(create_app("core"))
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="benchmark", role="admin"))
    client.headers["Authorization"] = f"Bearer {token}"
    database = _Database()
    event.listen(settings.engine, "before_cursor_execute", database.query_begins)
    event.listen(settings.engine, "after_cursor_execute", database.query_ends)
    figures = []
    for stored, under_way in STORED:
        _store(stored, under_way)
        one = {"dag_id": "imports", "run_id": "run 0", "task_id": "wait", "map_index": 0}
        figures.append(
            {
                "stored": stored,
                "under_way": under_way,
                **{name: _ask(client, database, rounds, WAITS, query) for name, query in LISTS.items()},
                "one": _ask(client, database, rounds, WAIT, one),
            }
        )
    return figures


class _Database:
    """Count the queries, and the time until the database has answered."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self.queries = 0
        self.seconds = 0.0

    def query_begins(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def query_ends(self, *_: Any) -> None:
        self.queries += 1
        self.seconds += time.perf_counter() - self._began


def _ask(client: Any, database: _Database, rounds: int, address: str, query: dict[str, Any] | None = None) -> Figures:
    # Where Airflow has not found the plugin, its own page answers, which is no JSON.
    client.get(address, params=query).raise_for_status().json()
    took, waited, cpu, queries = [], [], [], []
    for _ in range(rounds):
        database.begin()
        began, cpu_began = time.perf_counter(), time.process_time()
        answer = client.get(address, params=query).raise_for_status()
        took.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - cpu_began))
        waited.append(1000 * database.seconds)
        queries.append(database.queries)
    return {
        # Now and then Airflow asks for something of its own.
        "queries": statistics.mode(queries),
        "database_ms": statistics.median(waited),
        "median_ms": statistics.median(took),
        "cpu_ms": statistics.median(cpu),
        "answer_kib": len(answer.content) / 1024,
    }


def _store(stored: int, under_way: int) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, text

    from tools.seed_waits import SeededWait, seed_waits

    now = datetime.now(UTC)
    waits = [
        SeededWait(
            run_id=f"run {number // WAITS_PER_RUN}",
            map_index=number % WAITS_PER_RUN,
            published=_published(now.timestamp(), number, is_under_way=number < under_way),
            task_state=_task_state(number, under_way),
            published_at=now - number // WAITS_PER_RUN * TIME_BETWEEN_RUNS,
            run_after=now - number // WAITS_PER_RUN * TIME_BETWEEN_RUNS,
            run_state="running" if number < under_way else "success",
        )
        for number in range(stored)
    ]
    with create_session() as session:
        for model in (XComModel, TaskInstance, DagRun):
            session.execute(delete(model))
        seed_waits(session, *waits)
        # What a database that lives on does by itself.
        session.execute(text("ANALYZE"))


def _task_state(number: int, under_way: int) -> str:
    if number < under_way:
        return "deferred"
    return "failed" if number % 50 == 0 else "success"


def _published(now: float, number: int, *, is_under_way: bool) -> PublishedProgress:
    return PublishedProgress(
        try_number=1,
        vendor="Lucca",
        conn_id="lucca_default",
        label="Lucca leave import",
        import_id=f"{number:08x}-0d44-4b50-8888-8dd25736052a",
        waiting_since=now - 3600,
        deadline=now + 3600,
        polled_at=now,
        progress={
            "import_id": f"{number:08x}",
            "state": "running" if is_under_way else "succeeded",
            "percent": 50.0,
            "total": 1000,
            "processed": 500,
        },
        progress_at=now,
        percent_per_minute=1.0,
        ends_at=now + 3000,
        history=tuple((now - 3600 + 60 * minute, minute / 1.2) for minute in range(MAX_HISTORY_POINTS)),
    )


if __name__ == "__main__":
    print(json.dumps(_measure_here(int(sys.argv[1]))))
