# SPDX-License-Identifier: Apache-2.0
"""The imports that a person starts at the vendors, and the runs of the DAGs that they start."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sandbox.vendor import DONE
from tools.airflow_api import wait_until
from tools.local_airflow import LocalAirflow

#: The vendor and kind of the imports that start a DAG, and their course.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vectors_imported": ("zilliz", "cloud", {}),
    "vectors_not_imported": ("zilliz", "cloud", {"fail_at": 50}),
    "messages_imported": ("rocketchat", "slack", {}),
}

#: The imports that had ended before the watchers began.
ENDED_BEFORE: list[str] = []


def start(sandbox: Sandbox, dag_id: str, seconds: float) -> str:
    """
    Start an import at its vendor, and return its identifier.

    :param sandbox: The vendors.
    :param dag_id: The DAG that the import starts when it ends.
    :param seconds: How long it takes.
    """
    vendor, kind, script = KINDS[dag_id]
    return sandbox.create_import(vendor, kind, {"duration": seconds, **script})


def have_ended(sandbox: Sandbox, import_ids: Collection[str]) -> bool:
    """
    Return whether imports have ended.

    :param sandbox: The vendors.
    :param import_ids: The imports.
    """
    progress = {import_["import_id"]: import_["progress"] for import_ in sandbox.imports()}
    reached = [progress[import_id] for import_id in import_ids]
    return all(percent is not None and not 0 <= percent < DONE for percent in reached)


def reported(airflow: LocalAirflow, dag_id: str) -> list[list[str]]:
    """Return the imports that each run of a DAG was started by, once all its runs have ended."""
    runs = airflow.api.runs(dag_id)
    if any(run["state"] not in ("success", "failed") for run in runs):
        return []
    results = [airflow.api.xcom(dag_id, run["dag_run_id"], "imports") for run in runs]
    return [[progress["import_id"] for progress in result] for result in results]


def wait_for_run(airflow: LocalAirflow, dag_id: str, import_id: str, timeout: float = 90) -> None:
    """Wait until an import has started a run of a DAG, and the watcher has stored that."""

    def has_stored() -> bool:
        (record,) = airflow.api.asset_states(dag_id).values()
        return import_id in record["ended"]

    wait_until(
        f"{import_id} to start {dag_id}",
        lambda: any(import_id in imports for imports in reported(airflow, dag_id)),
        timeout=timeout,
    )
    wait_until(f"the watcher of {dag_id} to store {import_id}", has_stored, timeout=timeout)
