# SPDX-License-Identifier: Apache-2.0
"""What happens to tasks that start imports: they are killed, cleared and marked, and all of Airflow is restarted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.versions.airflow_command import HAS_API_SERVER, AirflowCommand, Task
from tests.e2e.versions.dags.start_specs import DURING_REQUEST, HAS_ALL_TASKS
from tests.e2e.versions.start_vendors import StartVendors
from tools.airflow_api import wait_until
from tools.local_airflow import LocalAirflow

_OTHER_WAITING_STATES = {"poke": "running", "reschedule": "up_for_reschedule"}


def waiting_state(point: str) -> str:
    """Return the state of a task that waits for its import."""
    return _OTHER_WAITING_STATES.get(point, "deferred")


@dataclass(frozen=True)
class Outcome:
    """
    The outcome at one time.

    :param states: The states of the tasks.
    :param imports: The number of imports that each task has started.
    """

    states: dict[str, str | None]
    imports: Counter[str]


@dataclass(frozen=True)
class StartOutcomes:
    """
    The outcomes of the scenario.

    :param killed: After the first tries were killed.
    :param marked: After tasks were marked failed.
    :param cleared: After tasks were cleared while their imports were under way, some after they were marked failed.
    :param at_end: At the end: after the tasks that had failed were cleared, and all of Airflow was restarted.
    """

    killed: Outcome
    marked: Outcome
    cleared: Outcome
    at_end: Outcome


class StartScenario:
    """
    The steps.

    :param airflow: The Airflow.
    :param command: Its command line.
    :param vendors: The vendors.
    """

    def __init__(self, airflow: LocalAirflow, command: AirflowCommand, vendors: StartVendors) -> None:
        self._airflow = airflow
        self._command = command
        self._vendors = vendors

    def begin(self) -> None:
        """Start the tasks that are killed."""
        self._command.trigger("starts")

    def run(self) -> StartOutcomes:
        """Run all further steps, side by side where possible, and return their outcomes."""
        interrupted = ("cleared", "marked") if HAS_ALL_TASKS else ()
        for dag_id in interrupted:
            self._command.trigger(dag_id)
        marked = cleared = self._outcome()
        if HAS_ALL_TASKS:
            for action in interrupted:
                self._wait_for_imports(action)
            before = {action: self._command.tasks(action) for action in interrupted}
            self._command.mark_failed("marked", *before["marked"])
            self._command.final_states("marked")
            marked = self._outcome("marked")
            at = time.time()
            for action in interrupted:
                self._command.clear(action, *before[action])
            for action in interrupted:
                self._wait_for_imports(action, since=at, before=before[action])
            cleared = self._outcome(*interrupted)
            for action in interrupted:
                self._vendors.held[action].release()
        states = self._command.final_states("starts")
        killed = self._outcome("starts")
        failed = [name for name, state in states.items() if state == "failed"]
        self._command.clear("starts", *failed, *(name for name in states if name == "leaves_good"))
        if HAS_ALL_TASKS:
            self._command.trigger("restarted")
            self._wait_for_imports("restarted")
        for dag_id in ("starts", *interrupted):
            self._command.final_states(dag_id)
        if HAS_ALL_TASKS:
            self._airflow.kill_all()
            at = time.time()
            # A scheduler that was killed is noticed after half a minute, and its tasks then soon afterwards.
            self._airflow.environment["AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL"] = "5"
            if HAS_API_SERVER:
                # First, because each task that runs while it does not answer loses a try.
                self._airflow.start("api-server")
            self._airflow.start_all()
            self._wait_for_imports("restarted", since=at)
            self._vendors.held["restarted"].release()
            self._command.final_states("restarted")
        return StartOutcomes(killed, marked, cleared, self._outcome("starts", *interrupted, "restarted"))

    def _outcome(self, *dag_ids: str) -> Outcome:
        tasks = {name: task for dag_id in dag_ids for name, task in self._command.tasks(dag_id).items()}
        return Outcome({name: task.state for name, task in tasks.items()}, self._vendors.imports())

    def _wait_for_imports(self, action: str, *, since: float = 0.0, before: Mapping[str, Task] | None = None) -> None:
        """
        Wait until each task of a DAG waits for its import, or until its request is being processed.

        :param action: The id of the DAG.
        :param since: When the tasks were interrupted. 0: they were not yet.
        :param before: The tasks before they were cleared. None: they were not.
        """

        def has_started(name: str, task: Task) -> bool:
            point = name.removeprefix(f"{action}_")
            if point in DURING_REQUEST and not since:
                return bool(self._vendors.imports()[name])
            if point == "request":
                return task.state == "failed"
            return is_waiting_again(name, task) and has_new_try(name, task)

        def is_waiting_again(name: str, task: Task) -> bool:
            is_waiting = task.state == waiting_state(name.removeprefix(f"{action}_"))
            return is_waiting and any(poll["at"] > since for poll in self._vendors.polls(name))

        def has_new_try(name: str, task: Task) -> bool:
            return before is None or task.try_number > before[name].try_number

        def have_started() -> bool:
            self._airflow.check_running()
            tasks = self._command.tasks(action)
            # Airflow 2.11 may forget a clear that comes while a poke runs, when the poke reschedules its task.
            missed = [
                name for name, task in tasks.items() if is_waiting_again(name, task) and not has_new_try(name, task)
            ]
            if missed:
                self._command.clear(action, *missed)
            return bool(tasks) and all(has_started(name, task) for name, task in tasks.items())

        wait_until(f"the tasks of {action} to wait for their imports", have_started, timeout=300, interval=1)
