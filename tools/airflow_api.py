# SPDX-License-Identifier: Apache-2.0
"""A client of Airflow's public REST API."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

FINAL_RUN_STATES = frozenset({"success", "failed"})
FINAL_TASK_STATES = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})

_ERROR_LINE = re.compile(r"[A-Z]\w+(Error|Exception|Timeout): ")

T = TypeVar("T")


class WaitedTooLongError(Exception):
    """Raised when a condition is not met in time."""


def wait_until(condition: str, check: Callable[[], T | None], *, timeout: float, interval: float = 0.5) -> T:
    """
    Call a function until it returns a truthy value, and return that value.

    :param condition: The condition in words, for the error message.
    :param check: The function.
    :param timeout: The longest time to wait, in seconds.
    :param interval: The time between two calls, in seconds.
    :raises WaitedTooLongError: If the function returns no truthy value in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        if result := check():
            return result
        if time.monotonic() > deadline:
            raise WaitedTooLongError(f"waited {timeout:.0f} seconds for {condition}")
        time.sleep(interval)


class AirflowApi:
    """
    A client of ``/api/v2`` with the calls that demo, tests and benchmarks need.

    :param url: The address of the API server.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # the loopback interface is reached without a proxy
        # Retry, because the API server shares the machine's few cores with the tasks and can be slow.
        self._session.mount("http://", HTTPAdapter(max_retries=Retry(3, backoff_factor=0.5)))

    def log_in(self, user: str | None = None) -> None:
        """
        Get a token.

        :param user: A user whose password is their name. None: everybody is an admin, and no password is needed.
        """
        body = {"username": user, "password": user} if user else None
        response = self._session.request("POST" if user else "GET", f"{self.url}/auth/token", json=body, timeout=30)
        response.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def health(self) -> dict[str, dict[str, str | None]]:
        """Return the health of Airflow's components, or an empty dictionary while the API server does not respond."""
        try:
            response = requests.get(f"{self.url}/api/v2/monitor/health", timeout=10, proxies={"http": ""})
        except requests.RequestException:
            return {}
        return response.json() if response.ok else {}

    def close(self) -> None:
        """Close the connections to the API server."""
        self._session.close()

    def add_connection(self, conn_id: str, connection: Mapping[str, object]) -> None:
        """Create a connection in Airflow's database, where the UI shows it."""
        extra = connection.get("extra")
        # The API requires the extra as text.
        as_text = {} if extra is None or isinstance(extra, str) else {"extra": json.dumps(extra)}
        self._call("POST", "/connections", json={"connection_id": conn_id, **connection, **as_text})

    def connection(self, conn_id: str) -> dict[str, Any]:
        """Return a connection of Airflow's database, without its secrets."""
        connection: dict[str, Any] = self._call("GET", f"/connections/{conn_id}")
        return connection

    def add_pool(self, name: str, slots: int) -> None:
        """Create a pool."""
        self._call("POST", "/pools", json={"name": name, "slots": slots})

    def change_connection(self, conn_id: str, **changes: object) -> None:
        """Change fields of a connection in Airflow's database."""
        # The API requires these two, changed or not.
        unchanged = self._call("GET", f"/connections/{conn_id}")
        body = {"connection_id": conn_id, "conn_type": unchanged["conn_type"], **changes}
        self._call("PATCH", f"/connections/{conn_id}", params={"update_mask": list(changes)}, json=body)

    def jobs(self, job_type: str) -> list[dict[str, Any]]:
        """Return the jobs of a type with recent heartbeats, latest first."""
        jobs: list[dict[str, Any]] = self._call("GET", "/jobs", params={"job_type": job_type, "is_alive": True})["jobs"]
        return jobs

    def import_errors(self) -> dict[str, str]:
        """Return the stack trace of every DAG file that could not be imported, by file name."""
        errors = self._call("GET", "/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def dag_ids(self) -> set[str]:
        """Return the ids of the DAGs that Airflow has parsed."""
        return {dag["dag_id"] for dag in self._call("GET", "/dags", params={"limit": 1000})["dags"]}

    def wait_for_dags(self, *dag_ids: str, timeout: float = 90) -> None:
        """
        Wait until these DAGs are parsed.

        :param dag_ids: The ids of the DAGs.
        :param timeout: The longest time to wait, in seconds.
        :raises RuntimeError: As soon as a DAG file has an import error.
        """

        def parsed() -> bool:
            if errors := self.import_errors():
                raise RuntimeError("\n\n".join(f"{name}:\n{trace}" for name, trace in errors.items()))
            return set(dag_ids) <= self.dag_ids()

        wait_until(f"the DAGs {', '.join(dag_ids)} to be parsed", parsed, timeout=timeout)

    def trigger(self, dag_id: str, conf: Mapping[str, object] | None = None, run_id: str | None = None) -> str:
        """
        Start a DAG run and return its id.

        :param dag_id: The DAG.
        :param conf: The configuration of the run.
        :param run_id: The id of the run. None: Airflow chooses one.
        """
        body = {"logical_date": None, "conf": dict(conf or {}), "dag_run_id": run_id}
        started: str = self._call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        return started

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG."""
        runs: list[dict[str, Any]] = self._call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 1000})["dag_runs"]
        return runs

    def asset_states(self, name: str) -> dict[str, Any]:
        """Return the values in the state store of an asset, by key."""
        assets = self._call("GET", "/assets", params={"limit": 1000})["assets"]
        (asset_id,) = (asset["id"] for asset in assets if asset["name"] == name)
        states = self._call("GET", f"/assets/{asset_id}/state-store")["asset_state_store"]
        return {state["key"]: state["value"] for state in states}

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""
        state: str = self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
        return state

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float = 180) -> str:
        """Wait until a DAG run has ended and return its state."""

        def ended() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in FINAL_RUN_STATES else None

        return wait_until(f"the run {run_id} of {dag_id} to end", ended, timeout=timeout)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return all task instances of a DAG run, one for each map index."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        instances: list[dict[str, Any]] = self._call("GET", path, params={"limit": 1000})["task_instances"]
        return instances

    def task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return one task instance."""
        for instance in self.task_instances(dag_id, run_id):
            if (instance["task_id"], instance["map_index"]) == (task_id, map_index):
                return instance
        raise LookupError(f"{dag_id} {run_id} has no task instance {task_id}[{map_index}]")

    def wait_for_task_state(self, dag_id: str, run_id: str, task_id: str, *states: str, timeout: float = 120) -> str:
        """
        Wait until a task is in one of these states, and return that state.

        :param dag_id: The DAG.
        :param run_id: The DAG run.
        :param task_id: The task.
        :param states: The states.
        :param timeout: The longest time to wait, in seconds.
        :raises AssertionError: If the task ends in another state.
        """

        def reached() -> str | None:
            state: str | None = self.task(dag_id, run_id, task_id)["state"]
            if state in FINAL_TASK_STATES and state not in states:
                raise AssertionError(f"{task_id} of {dag_id} ended as {state}, not as {' or '.join(states)}")
            return state if state in states else None

        return wait_until(f"{task_id} of {dag_id} to be {' or '.join(states)}", reached, timeout=timeout)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom value as the task stored it."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._call("GET", path, params={"map_index": map_index})["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> list[str]:
        """Return the lines of a task's log: the messages of the task and of its trigger, and the errors they raised."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self._call("GET", path, params={"map_index": map_index, "full_content": True})["content"]
        lines: list[str] = []
        for entry in content:
            if isinstance(entry, str):
                lines.append(entry)
                continue
            lines.append(entry["event"])
            lines.extend([entry["reason"]] if "reason" in entry else [])
            lines.extend(f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or [])
        return lines

    def last_error(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """Return the last error in a task's log, or a note that there is none."""
        lines = self.task_log(dag_id, run_id, task_id, try_number)
        errors = [line for line in lines if _ERROR_LINE.match(line)]
        return errors[-1] if errors else "(the log has no error)"

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """Clear tasks of a DAG run, so that they run again."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": list(task_ids), "only_failed": False}
        self._call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set the state of a task of a DAG run."""
        self._call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}", json={"new_state": state})

    def tries(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Return all tries of a task in a DAG run, first try first."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/tries"
        tries: list[dict[str, Any]] = self._call("GET", path)["task_instances"]
        return sorted(tries, key=lambda instance: instance["try_number"])

    def audit_log(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the entries of Airflow's audit log about a DAG run, latest first."""
        entries: list[dict[str, Any]] = []
        while True:
            page = {"dag_id": dag_id, "run_id": run_id, "limit": 100, "offset": len(entries), "order_by": "-id"}
            response = self._call("GET", "/eventLogs", params=page)
            entries += response["event_logs"]
            if not response["event_logs"] or len(entries) >= response["total_entries"]:
                return entries

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._session.request(method, f"{self.url}/api/v2{path}", timeout=30, **arguments)
        if not response.ok:
            problem = f"{method} {path}: {response.status_code} {response.text[:2000]}"
            raise requests.HTTPError(problem, response=response)
        return response.json()
