# SPDX-License-Identifier: Apache-2.0
"""
Import vectors into Zilliz Cloud and continue when they can be searched.

Zilliz accepts the import immediately and processes it in the background. **start_import** starts it and returns its
`jobId`. **wait_for_import** waits, deferred, until the job is done, and only then **serve_search** starts.

* If the import fails, as a whole or for one file, `wait_for_import` fails at once, without retries, with Zilliz's
  error message, and `serve_search` does not run.
* If Zilliz is down for a while, or its limiter refuses a request, `wait_for_import` keeps waiting.

The DAG needs a connection `zilliz_default` of the type *Zilliz*: an API key as password, the host
`controller.api.{region}.zillizcloud.com` or the cloud region, and the cluster's id. Trigger it with another
`object_url` to import other vectors. Files that are not public also need `accessKey` and `secretKey` in the request.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_import_progress.hooks.zilliz import ZillizHook
from airflow_import_progress.sensors.zilliz import ZillizImportSensor


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["zilliz", "import"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={
        "collection": Param("medium_articles", type="string", title="Collection"),
        "object_url": Param(
            "https://s3.us-west-2.amazonaws.com/my-bucket/medium_articles/1.parquet",
            type="string",
            title="File or folder",
            description="In the object storage of the cluster's cloud: JSON or Parquet that fits the collection.",
        ),
    },
)
def zilliz_vectors() -> None:
    """Start an import of vectors, wait for it, then serve searches."""

    # No retries: the import may have started, and a retry would import the vectors twice.
    @task(retries=0)
    def start_import(cluster_id: str, params: dict[str, Any]) -> str:
        response = ZillizHook(zilliz_conn_id="zilliz_default").request(
            "POST",
            "/v1/vector/collections/import",
            json={
                "clusterId": cluster_id,
                "collectionName": params["collection"],
                "objectUrl": params["object_url"],
            },
        )
        answer = response.json()
        # Zilliz also reports refusals under HTTP 200.
        if int(answer["code"]) not in (0, 200):
            raise RuntimeError(f"Zilliz refused the import with the error {answer['code']}: {answer.get('message')}")
        job_id: str = answer["data"]["jobId"]
        return job_id

    job_id = start_import("{{ conn.zilliz_default.extra_dejson.cluster_id }}")

    # Retries are for the wait, when Zilliz could not be reached for a long time. A failed import is never retried.
    wait_for_import = ZillizImportSensor(
        task_id="wait_for_import",
        zilliz_conn_id="zilliz_default",
        job_id=job_id,
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def serve_search(progress: dict[str, Any]) -> None:
        collection = progress["details"]["collection"]
        print(f"Import {progress['import_id']} is done: all vectors are in {collection}, searches may be served.")

    serve_search(wait_for_import.output)


zilliz_vectors()
