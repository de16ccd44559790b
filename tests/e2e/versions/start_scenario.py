# SPDX-License-Identifier: Apache-2.0
"""What happens to tasks that start imports: they are killed, cleared and marked, and all of Airflow is restarted."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from tests.e2e.versions.airflow_command import AirflowCommand, Task
from tests.e2e.versions.dags.start_specs import DURING_REQUEST, HAS_ALL_TASKS, WAITING
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

    def run(self) -> StartOutcomes:
        """Run all steps, side by side where possible, and return their outcomes."""
        interrupted = ("cleared", "marked") if HAS_ALL_TASKS else ()
        for dag_id in (*interrupted, "starts"):
            self._command.trigger(dag_id)
        marked = cleared = self._outcome()
        if HAS_ALL_TASKS:
            for action in interrupted:
                self._wait_for_imports(action)
            self._command.clear("cleared", *_tasks_of("cleared"))
            self._command.mark_failed("marked", *_tasks_of("marked"))
            marked = self._outcome("marked")
            at = time.time()
            self._command.clear("marked", *_tasks_of("marked"))
            for action in interrupted:
                self._wait_for_imports(action, since=at, min_tries=2)
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
            self._airflow.start_all()
            self._wait_for_imports("restarted", since=at, min_tries=1)
            self._vendors.held["restarted"].release()
            self._command.final_states("restarted")
        return StartOutcomes(killed, marked, cleared, self._outcome("starts", *interrupted, "restarted"))

    def _outcome(self, *dag_ids: str) -> Outcome:
        tasks = {name: task for dag_id in dag_ids for name, task in self._command.tasks(dag_id).items()}
        return Outcome({name: task.state for name, task in tasks.items()}, self._vendors.imports())

    def _wait_for_imports(self, action: str, *, since: float = 0.0, min_tries: int = 0) -> None:
        """
        Wait until each task of a DAG waits for its import, or until its request is being processed.

        :param action: The id of the DAG.
        :param since: When the tasks were interrupted, if they were: since then they wait again.
        :param min_tries: How many tries the tasks have made, at least. 0: they were not interrupted yet.
        """

        def has_started(name: str, task: Task) -> bool:
            point = name.removeprefix(f"{action}_")
            if point in DURING_REQUEST and not min_tries:
                return bool(self._vendors.imports()[name])
            if point == "request":
                return task.state == "failed"
            polls = (poll["at"] for poll in self._vendors.polls(name))
            is_waiting = task.state == waiting_state(point)
            return is_waiting and task.try_number >= min_tries and any(at > since for at in polls)

        def have_started() -> bool:
            self._airflow.check_running()
            tasks = self._command.tasks(action)
            return bool(tasks) and all(has_started(name, task) for name, task in tasks.items())

        wait_until(f"the tasks of {action} to wait for their imports", have_started, timeout=240, interval=1)


def _tasks_of(action: str) -> list[str]:
    return [f"{action}_{point}" for point in (*WAITING, *DURING_REQUEST)]
