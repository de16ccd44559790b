# SPDX-License-Identifier: Apache-2.0
"""The DAG runs that the tests check, each with the imports that it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_import_progress.sandbox import Sandbox
from tools.airflow_api import AirflowApi
from tools.local_airflow import LocalAirflow

#: The vendor and the kind of import of each DAG, by their names in the sandbox. The other DAGs wait for leaves.
IMPORTS_OF = {
    "user_locations": ("lucca", "user_location"),
    "rocketchat": ("rocketchat", "csv"),
    "rocketchat_of_a_second_workspace": ("rocketchat", "csv"),
    "zilliz": ("zilliz", "cloud"),
    "milvus": ("zilliz", "milvus"),
    "leadsy": ("leadsy", "lead"),
}

API_KEY = "e2e-right-4f1c9d77"
WRONG_API_KEY = "e2e-wrong-8b02ae31"


@dataclass
class Run:
    """A DAG run, and the imports that it waits for."""

    airflow: LocalAirflow
    sandbox: Sandbox
    dag_id: str
    run_id: str
    import_ids: list[str]

    @property
    def import_id(self) -> str:
        """The id of the only import."""
        (import_id,) = self.import_ids
        return import_id

    @property
    def api(self) -> AirflowApi:
        """The client of Airflow's API."""
        return self.airflow.api

    def ended(self) -> dict[str, str]:
        """Wait for the end of the run, and return the states of its tasks, with the index of mapped ones."""
        self.api.wait_for_run(self.dag_id, self.run_id)
        return {
            task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]": task["state"]
            for task in self.api.task_instances(self.dag_id, self.run_id)
        }

    def tries(self) -> int:
        """Return the number of tries of the sensor."""
        tries: int = self.api.task(self.dag_id, self.run_id, "wait")["try_number"]
        return tries

    def xcom(self, task_id: str = "wait", map_index: int = -1) -> Any:
        """Return the result of a task."""
        return self.api.xcom(self.dag_id, self.run_id, task_id, map_index=map_index)

    def log(self, map_index: int = -1) -> str:
        """Return the sensor's log, as the UI shows it."""
        return "\n".join(self.api.task_log(self.dag_id, self.run_id, "wait", map_index=map_index))

    def was_deferred(self) -> bool:
        """Return whether the sensor was ever in the triggerer."""
        return "trigger starting" in self.log() or "DEFERRED" in self.log()


def start(
    airflow: LocalAirflow,
    sandbox: Sandbox,
    dag_id: str,
    *scripts: Mapping[str, object],
    faults: tuple[tuple[Mapping[str, object], int | None], ...] = (),
) -> Run:
    """
    Start a DAG that waits for new imports.

    :param airflow: The Airflow.
    :param sandbox: The sandbox.
    :param dag_id: The DAG.
    :param scripts: The script of each import.
    :param faults: The faults in responses about the first import, in their order, each with the number of requests
        that it affects. None: all.
    """
    vendor, kind = IMPORTS_OF.get(dag_id, ("lucca", "leave"))
    ids = [sandbox.create_import(vendor, kind, script) for script in scripts]
    for fault, times in faults:
        sandbox.add_fault(fault, import_id=ids[0], times=times)
    conf: dict[str, object] = {"import_ids": ids} if dag_id == "mapped" else {"import_id": ids[0]}
    return Run(airflow, sandbox, dag_id, airflow.api.trigger(dag_id, conf, run_id=f"run-{ids[0]}"), ids)
