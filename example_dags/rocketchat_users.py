# SPDX-License-Identifier: Apache-2.0
"""
Import users into Rocket.Chat and continue when the import has succeeded.

**import_users** creates an import operation, adds the users, starts it and waits, deferred, until it is done, and only
then **greet_users** starts.

* If the import fails or is cancelled, the server restarts during it, or another import takes its place,
  `import_users` fails at once, without retries, and `greet_users` does not run.
* If Rocket.Chat is down for a while, or asks for fewer requests, `import_users` keeps waiting.
* The import is started once, also if a worker dies. If the workspace is busy with another import, `import_users` fails
  and leaves that one alone.

The DAG needs Rocket.Chat 6.3 or later and a connection `rocketchat_default` of the type *Rocket.Chat*: the host, a
user id as login and a personal access token of that user as password. The user needs the permission `run-import`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_import_progress.operators.rocketchat import RocketChatUserImportOperator

USERS = [
    {"importIds": ["hr-42"], "username": "jeanne.dupont", "name": "Jeanne Dupont", "emails": ["jeanne@example.com"]},
    {"importIds": ["hr-43"], "username": "paul.martin", "name": "Paul Martin", "emails": ["paul@example.com"]},
    {"importIds": ["hr-44"], "username": "linh.nguyen", "name": "Linh Nguyen", "emails": ["linh@example.com"]},
]


# One run at a time: a workspace has one import, and a new one ends the one before it.
@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["rocketchat", "import"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "users": Param(
            USERS,
            type="array",
            title="Users",
            description="Each with importIds, emails and any other field that Rocket.Chat's import.addUsers accepts.",
        )
    },
)
def rocketchat_users() -> None:
    """Import users, then greet them."""

    @task
    def read_users(params: dict[str, Any]) -> list[dict[str, Any]]:
        users: list[dict[str, Any]] = params["users"]
        return users

    # Retries are for a Rocket.Chat that could not be reached for a long time. A failed import is never retried.
    # Rocket.Chat allows ten requests a minute for each endpoint; this wait uses four of them.
    import_users = RocketChatUserImportOperator(
        task_id="import_users",
        rocketchat_conn_id="rocketchat_default",
        users=read_users(),
        poke_interval=15,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def greet_users(progress: dict[str, Any]) -> None:
        print(f"Import {progress['import_id']} is done: {progress['failed']} of {progress['processed']} users failed.")

    greet_users(import_users.output)


rocketchat_users()
