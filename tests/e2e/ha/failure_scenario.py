# SPDX-License-Identifier: Apache-2.0
"""The failures that the forty waits go through, and the outcome in Airflow and at the vendors."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.e2e.ha.dags.wait_specs import CLEARED, MARKED_FAILED, RESCHEDULED, WAITS, WaitSpec
from tests.e2e.ha.vendors import Vendors
from tools.airflow_api import FINAL_TASK_STATES, wait_until
from tools.local_airflow import LocalAirflow

DAG_ID = "many_waits"
RUN_ID = "run"

#: How long the vendors are down, in seconds.
OUTAGE = 60

TRIGGERERS = ("triggerer", "second-triggerer")

#: A rescheduled wait that left its worker less than this ago stays away long enough to stop a scheduler.
_MAX_ABSENCE = timedelta(seconds=18)

_WAITING = frozenset({"deferred", "up_for_reschedule"})
_ON_A_WORKER = frozenset({"scheduled", "queued", "running", "restarting"})


class FailureScenario:
    """
    The failures, one method each, in their order.

    :param airflow: An Airflow with two triggerers.
    :param vendors: The vendors.
    """

    def __init__(self, airflow: LocalAirflow, vendors: Vendors) -> None:
        self._airflow = airflow
        self._vendors = vendors

    def start_all_waits(self) -> None:
        """Start all waits, and wait until each is under way or over."""
        self._vendors.create_imports()
        for conn_id, connection in self._vendors.connections().items():
            self._airflow.api.add_connection(conn_id, connection)
        self._airflow.api.trigger(DAG_ID, {"import_ids": self._vendors.import_ids}, run_id=RUN_ID)
        wait_until("all to wait", self._is_each_waiting_or_over, timeout=240)

    def crash_a_triggerer(self) -> str:
        """Kill the triggerer with the most waits, let the other one take over, and return the name of the other one."""
        waits = Counter(task["trigger"]["triggerer_id"] for task in self._tasks() if task["trigger"])
        victim = max(TRIGGERERS, key=lambda component: waits[self._airflow.job_id(component)])
        self._airflow.kill(victim)
        dead = self._airflow.job_id(victim)
        wait_until("the other triggerer to take over", lambda: not self._has_waits(dead), timeout=120)
        self._airflow.start(victim)
        return next(component for component in TRIGGERERS if component != victim)

    def clear_and_mark_waits(self) -> datetime:
        """Clear one wait, mark another one failed, and return the time."""
        self._airflow.api.clear(DAG_ID, RUN_ID, CLEARED.task_id)
        self._airflow.api.mark(DAG_ID, RUN_ID, MARKED_FAILED.task_id, "failed")
        return datetime.now(UTC)

    def restart_a_triggerer_in_an_outage(self, component: str) -> None:
        """Refuse all connections to vendors for a minute, and restart a triggerer in that time."""
        self._vendors.__exit__(None, None, None)
        until = time.monotonic() + OUTAGE
        self._airflow.stop(component)
        self._airflow.start(component)
        wait_until("the minute to pass", lambda: time.monotonic() > until, timeout=OUTAGE + 1)
        self._vendors.__enter__()

    def replace_keys_without_a_scheduler(self) -> datetime:
        """Replace the keys and let all imports end while no scheduler runs, and return the time."""
        # Stop the scheduler only while no task is queued, running or about to be, because Airflow disturbs such tasks:
        # the next scheduler resets a task that was about to be queued, which costs a try. With CeleryExecutor such a
        # task counts as queued until `[scheduler] task_queued_timeout`. A task that runs on a worker of LocalExecutor
        # is lost if the scheduler is killed before the task has ended.
        wait_until("a moment in which no task is on its way to a worker", self._is_quiet, timeout=240)
        self._airflow.stop("scheduler")
        if "celery-worker" in self._airflow.components:
            self._airflow.stop("celery-worker")
        self._vendors.replace_keys(self._airflow.api.change_connection)
        replaced_at = datetime.now(UTC)
        self._vendors.release_imports()
        if "celery-worker" in self._airflow.components:
            self._airflow.start("celery-worker")
        self._airflow.start("scheduler")
        return replaced_at

    def _tasks(self) -> list[dict[str, Any]]:
        return self._airflow.api.task_instances(DAG_ID, RUN_ID)

    def _waiting(self) -> dict[str, str]:
        names = {wait.task_id for wait in WAITS}
        return {task["task_id"]: task["state"] for task in self._tasks() if task["task_id"] in names}

    def _is_each_waiting_or_over(self) -> bool:
        return all(state in _WAITING | FINAL_TASK_STATES for state in self._waiting().values())

    def _is_quiet(self) -> bool:
        tasks = {task["task_id"]: task for task in self._tasks()}
        over = {name for wait in WAITS if not wait.is_held for name in (wait.task_id, wait.next_task_id)}
        lately = datetime.now(UTC) - _MAX_ABSENCE
        return (
            not any(task["state"] in _ON_A_WORKER for task in tasks.values())
            and all(tasks[name]["state"] in FINAL_TASK_STATES for name in over)
            and all(datetime.fromisoformat(tasks[wait.task_id]["end_date"]) > lately for wait in RESCHEDULED)
            and tasks[CLEARED.task_id]["state"] == "deferred"
        )

    def _has_waits(self, job_id: int) -> bool:
        return any(task["trigger"] and task["trigger"]["triggerer_id"] == job_id for task in self._tasks())


def run(airflow: LocalAirflow, vendors: Vendors, next_steps: Path) -> Outcome:
    """
    Run the whole scenario, and return its outcome.

    :param airflow: An Airflow with two triggerers.
    :param vendors: The vendors.
    :param next_steps: The file to which the task after a wait adds a line each time that it runs.
    """
    scenario = FailureScenario(airflow, vendors)
    scenario.start_all_waits()
    survivor = scenario.crash_a_triggerer()
    marked_at = scenario.clear_and_mark_waits()
    scenario.restart_a_triggerer_in_an_outage(survivor)
    replaced_at = scenario.replace_keys_without_a_scheduler()
    airflow.api.wait_for_run(DAG_ID, RUN_ID, timeout=300)
    return Outcome(airflow, vendors, next_steps, marked_at, replaced_at)


@dataclass
class Outcome:
    """
    The outcome of the scenario.

    :param airflow: The Airflow.
    :param vendors: The vendors.
    :param next_steps: The file with a line for each time that a task after a wait ran.
    :param marked_at: When a wait was marked failed.
    :param replaced_at: When the vendors began to accept only the new keys.
    """

    airflow: LocalAirflow
    vendors: Vendors
    next_steps: Path
    marked_at: datetime
    replaced_at: datetime
    _logs: dict[WaitSpec, list[str]] = field(default_factory=dict)

    @cached_property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """All task instances by task id."""
        return {task["task_id"]: task for task in self.airflow.api.task_instances(DAG_ID, RUN_ID)}

    @cached_property
    def audit_log(self) -> list[dict[str, Any]]:
        """The entries of Airflow's audit log about the run."""
        return self.airflow.api.audit_log(DAG_ID, RUN_ID)

    def states(self, wait: WaitSpec) -> tuple[str, str]:
        """Return the states of a wait and of the task after it."""
        return self.tasks[wait.task_id]["state"], self.tasks[wait.next_task_id]["state"]

    def tries(self, wait: WaitSpec) -> list[str]:
        """Return the states of the tries of a wait, first try first."""
        return [instance["state"] for instance in self.airflow.api.tries(DAG_ID, RUN_ID, wait.task_id)]

    def xcom(self, wait: WaitSpec) -> Any:
        """Return the result of a wait."""
        return self.airflow.api.xcom(DAG_ID, RUN_ID, wait.task_id)

    def log(self, wait: WaitSpec) -> list[str]:
        """Return the lines of the log of the last try of a wait, from workers and triggerers."""
        if wait not in self._logs:
            last_try = self.tasks[wait.task_id]["try_number"]
            self._logs[wait] = self.airflow.api.task_log(DAG_ID, RUN_ID, wait.task_id, last_try)
        return self._logs[wait]

    def ended_at(self, wait: WaitSpec) -> datetime:
        """Return the end of a wait."""
        return datetime.fromisoformat(self.tasks[wait.task_id]["end_date"])

    def events(self, wait: WaitSpec) -> int:
        """Return the number of events that a trigger fired in the last try of a wait."""
        # A triggerer that took over a wait but not its log writes to its own log.
        fired = re.compile(rf"Trigger fired event .*name='{DAG_ID}/{RUN_ID}/{wait.task_id}/")
        elsewhere = [fired.findall(self.airflow.component_log(triggerer)) for triggerer in TRIGGERERS]
        return self.log(wait).count("Trigger fired event") + sum(map(len, elsewhere))

    def ends(self, wait: WaitSpec) -> int:
        """Return how often a wait ended: on a worker by the audit log, or in a triggerer if it used no worker."""
        events = [entry["event"] for entry in self.audit_log if entry["task_id"] == wait.task_id]
        on_workers = events.count("success") + events.count("failed")
        is_without_workers = not self.tasks[wait.task_id]["hostname"]
        return on_workers + (self.events(wait) if is_without_workers else 0)

    def next_steps_of(self, wait: WaitSpec) -> int:
        """Return how often the task after a wait has run."""
        return self.next_steps.read_text().splitlines().count(wait.name)
