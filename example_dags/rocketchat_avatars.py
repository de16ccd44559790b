# SPDX-License-Identifier: Apache-2.0
"""
Download the missing avatars of imported Rocket.Chat users, and continue when the download has succeeded.

Rocket.Chat answers the start with a number, not with an id. So **wait_for_import** polls `getImportProgress`, which
reports the last import of the workspace, and `importer_key` makes sure that it is one of avatars.

* If the download fails or is cancelled, or an import of another kind takes its place, `wait_for_import` fails at once,
  without retries, and `announce` does not run.
* If Rocket.Chat is down for a while, or asks for fewer requests, `wait_for_import` keeps waiting.

The DAG needs a connection `rocketchat_default` of the type *Rocket.Chat*: the host, a user id as login and a personal
access token of that user as password. The user needs the permission `run-import`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import dag, task

from airflow_import_progress.hooks.rocketchat import RocketChatHook
from airflow_import_progress.sensors.rocketchat import RocketChatImportSensor


# One run at a time: a workspace has one import, and a new one ends the one before it.
@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["rocketchat", "import"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
)
def rocketchat_avatars() -> None:
    """Start the download of pending avatars, wait for it, then announce it."""

    # No retries: the download may have started, and a retry would end it.
    @task(retries=0)
    def start_download() -> int:
        answer = RocketChatHook(rocketchat_conn_id="rocketchat_default").request(
            "POST", "/api/v1/downloadPendingAvatars", json={}
        )
        count: int = answer.json()["count"]
        return count

    # Rocket.Chat allows ten requests a minute for each endpoint; this wait uses four of them.
    wait_for_import = RocketChatImportSensor(
        task_id="wait_for_import",
        rocketchat_conn_id="rocketchat_default",
        importer_key="pending-avatars",
        poke_interval=15,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def announce(progress: dict[str, Any]) -> None:
        print(f"The avatars are there: {progress['processed']} dealt with, {progress['failed']} of them failed.")

    start_download() >> wait_for_import
    announce(wait_for_import.output)


rocketchat_avatars()
