# SPDX-License-Identifier: Apache-2.0
"""DAGs that run when any import ends: one for each watcher."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_import_progress.triggers.import_end import BaseImportEndTrigger
from airflow_import_progress.triggers.rocketchat import RocketChatImportEndTrigger
from airflow_import_progress.triggers.zilliz import ZillizImportEndTrigger

WATCHERS: dict[str, BaseImportEndTrigger] = {
    "vectors_imported": ZillizImportEndTrigger(poke_interval=3),
    "vectors_not_imported": ZillizImportEndTrigger(states=["failed"], poke_interval=3),
    "messages_imported": RocketChatImportEndTrigger(poke_interval=3),
}


def report_imports(asset: Asset) -> None:
    """Add the task that returns the imports of the run's events."""

    @task
    def imports(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        return [event.extra["payload"] for event in triggering_asset_events[asset]]

    imports()


for name, trigger in WATCHERS.items():
    watched = Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])
    with DAG(name, schedule=[watched], start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False) as dag:
        report_imports(watched)
    globals()[name] = dag
