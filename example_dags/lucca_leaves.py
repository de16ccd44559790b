# SPDX-License-Identifier: Apache-2.0
"""
Import leaves into Lucca and continue when the import has succeeded.

**import_leaves** uploads the CSV file, waits, deferred, until Lucca has imported it, and only then **run_payroll**
starts.

* If the import fails, `import_leaves` fails at once, without retries, with Lucca's status, and `run_payroll` does not
  run.
* If Lucca is down for a while, `import_leaves` keeps waiting.
* The file is uploaded once, also if a worker dies. If nobody can know whether Lucca received it, `import_leaves`
  fails and says what to check.

The DAG needs a connection `lucca_default` of the type *Lucca*: the host `{account}.ilucca.net`, and an API key as
password. Trigger it with the path of your file, or its address, such as `s3://aws_default@bucket/leaves.csv`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["lucca", "import"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "file": Param(
            "/data/leaves.csv",
            type="string",
            title="File",
            description="A CSV file with Lucca's columns: UTF-8, separated by semicolons, dates as DD/MM/YYYY.",
        )
    },
)
def lucca_leaves() -> None:
    """Import leaves, then run the payroll."""
    # Retries are for a Lucca that could not be reached for a long time. A failed import is never retried.
    # Lucca allows 50 requests a minute to all clients of an account together; this wait uses six of them.
    import_leaves = LuccaLeaveImportOperator(
        task_id="import_leaves",
        lucca_conn_id="lucca_default",
        file="{{ params.file }}",
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def run_payroll(progress: dict[str, Any]) -> None:
        print(f"Import {progress['import_id']} is done: all leaves are in Lucca, payroll may run.")

    run_payroll(import_leaves.output)


lucca_leaves()
