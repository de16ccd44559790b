# SPDX-License-Identifier: Apache-2.0
"""The results of a DAG run, read from files, which works with all versions of Airflow."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tools.local_airflow import LocalAirflow


@dataclass
class FinishedRun:
    """The run of the DAG, after its end."""

    airflow: LocalAirflow
    states: dict[str, str]
    import_ids: dict[str, str]

    def handed_on(self, name: str) -> dict[str, object]:
        """Return the value that the task after a sensor got."""
        progress: dict[str, object] = json.loads((self.airflow.home / f"{name}.json").read_text())
        return progress

    def published(self, name: str) -> dict[str, object] | None:
        """Return the progress that a sensor has published, or None."""
        value: dict[str, object] | None = json.loads((self.airflow.home / f"{name}.published.json").read_text())
        return value

    def logs(self, name: str) -> list[str]:
        """Return the logs of a sensor, one for each try."""
        folder = self.airflow.home / "logs/dag_id=gates/run_id=run" / f"task_id=wait_{name}"
        return [log.read_text() for log in sorted(folder.glob("attempt=?.log"))]
