# SPDX-License-Identifier: Apache-2.0
"""
Import vectors into Zilliz Cloud and continue when they can be searched.

**import_vectors** starts an import job and waits, deferred, until it is done, and only then **serve_search** starts.

* If the job fails, as a whole or for one file, `import_vectors` fails at once, without retries, with Zilliz's error
  message, and `serve_search` does not run.
* If Zilliz is down for a while, or its limiter refuses a request, `import_vectors` keeps waiting.
* The job is started once, also if a worker dies: `import_vectors` searches Zilliz's list of jobs for it.

The DAG needs a connection `zilliz_default` of the type *Zilliz*: an API key as password, the host
`controller.api.{region}.zillizcloud.com` or the cloud region, and the cluster's id. Trigger it with another
`object_url` to import other vectors. Files that are not public also need a connection with the credentials of their
storage, as `storage_conn_id` of the operator.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from airflow_import_progress.operators.zilliz import ZillizImportOperator


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
    """Import vectors, then serve searches."""
    # Retries are for a Zilliz that could not be reached for a long time. A failed import is never retried.
    import_vectors = ZillizImportOperator(
        task_id="import_vectors",
        zilliz_conn_id="zilliz_default",
        collection_name="{{ params.collection }}",
        object_urls="{{ params.object_url }}",
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
    )

    @task
    def serve_search(progress: dict[str, Any]) -> None:
        collection = progress["details"]["collection"]
        print(f"Import {progress['import_id']} is done: all vectors are in {collection}, searches may be served.")

    serve_search(import_vectors.output)


zilliz_vectors()
