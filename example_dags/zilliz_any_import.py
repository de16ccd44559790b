# SPDX-License-Identifier: Apache-2.0
"""
Refresh a search when any import of vectors into Zilliz Cloud has succeeded, whoever started it.

People start imports in Zilliz Cloud's console, and no task waits for these. A watcher in the triggerer lists the import
jobs of the cluster and creates an asset event for each that succeeds. Each event starts a run of this DAG, in which
**refresh_search** reads the progress of the import from the event.

* An import that had ended before the DAG was unpaused for the first time starts no run.
* An import that fails starts none either, unless the watcher is given `states=["failed"]`.
* If Zilliz is down, or the triggerer is restarted, the imports that ended meanwhile follow.

The DAG needs Airflow 3.0 or later, and a connection `zilliz_default` of the type *Zilliz*: an API key as password, and
the extras `cloud_region` and `cluster_id`.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import Asset, AssetWatcher, dag, task

from airflow_import_progress.triggers.zilliz import ZillizImportEndTrigger

VECTORS = Asset(
    "zilliz_imports",
    watchers=[
        AssetWatcher(
            name="any_import", trigger=ZillizImportEndTrigger(zilliz_conn_id="zilliz_default", poke_interval=60)
        )
    ],
)


@dag(
    schedule=[VECTORS],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["zilliz", "import"],
)
def zilliz_any_import() -> None:
    """Refresh the search of each collection into which vectors were imported."""

    @task
    def refresh_search(triggering_asset_events: Any = None) -> None:
        # Airflow may pass several events to one run, when imports end at the same time or runs are limited.
        for event in triggering_asset_events[VECTORS]:
            progress = event.extra["payload"]
            print(f"Import {progress['import_id']} is done: {progress['details']['collection']} has new vectors.")

    refresh_search()


zilliz_any_import()
