# SPDX-License-Identifier: Apache-2.0
"""What a DAG run has left, read from files, which all versions of Airflow have alike."""

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
        """Return what the task behind a sensor was given."""
        progress: dict[str, object] = json.loads((self.airflow.home / f"{name}.json").read_text())
        return progress

    def published(self, name: str) -> dict[str, object] | None:
        """Return what a sensor has published for people to look at, or None."""
        value: dict[str, object] | None = json.loads((self.airflow.home / f"{name}.published.json").read_text())
        return value

    def logs(self, name: str) -> list[str]:
        """Return the logs of a sensor, one for each time that it was tried."""
        folder = self.airflow.home / "logs/dag_id=gates/run_id=run" / f"task_id=wait_{name}"
        return [log.read_text() for log in sorted(folder.glob("attempt=?.log"))]
