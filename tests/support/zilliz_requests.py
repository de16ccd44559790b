# SPDX-License-Identifier: Apache-2.0
"""
The requests that start import jobs in v2, for Zilliz's own client and for the hook.

The client and Airflow are installed in different environments. So each is held beside these requests, not beside the
other one.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

PATH = "/v2/vectordb/jobs/import/create"
API_KEY = "sandbox-zilliz-key"
STORAGE = {"access_key": "the-access-key", "secret_key": "the-secret-key", "token": "the-token"}
_URLS = [["s3://bucket/1.parquet"], ["s3://bucket/folder/"]]
_FILES = [["a/1.npy", "a/2.npy"], ["b/1.json"]]

#: For each case the arguments, whose names are the same in both, whether they have the credentials of an object
#: storage, and the body without empty values.
CREATE_REQUESTS: dict[str, tuple[dict[str, Any], bool, dict[str, Any]]] = {
    "cluster": (
        {"collection_name": "articles", "cluster_id": "in01", "object_urls": _URLS, "partition_name": "p"},
        True,
        {
            "collectionName": "articles",
            "clusterId": "in01",
            "objectUrls": _URLS,
            "partitionName": "p",
            "accessKey": "the-access-key",
            "secretKey": "the-secret-key",
            "token": "the-token",
        },
    ),
    "project": (
        {"collection_name": "articles", "project_id": "proj", "region_id": "aws-us-west-2", "object_urls": _URLS},
        False,
        {"collectionName": "articles", "projectId": "proj", "regionId": "aws-us-west-2", "objectUrls": _URLS},
    ),
    "milvus": (
        {"collection_name": "articles", "files": _FILES, "db_name": "db"},
        False,
        {"collectionName": "articles", "files": _FILES, "dbName": "db"},
    ),
}


@contextlib.contextmanager
def recording() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Serve answers to starts, and yield the port and the requests, without the empty values of their bodies."""
    requests: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(
                {
                    "path": self.path,
                    "authorization": self.headers["Authorization"],
                    "content_type": self.headers["Content-Type"],
                    "db_name": self.headers["DB-Name"],
                    "body": {name: value for name, value in body.items() if value},
                }
            )
            answer = json.dumps({"code": 0, "data": {"jobId": "1"}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1], requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def expected(case: str) -> dict[str, Any]:
    """Return the request that a case records."""
    arguments, _, body = CREATE_REQUESTS[case]
    return {
        "path": PATH,
        "authorization": f"Bearer {API_KEY}",
        "content_type": "application/json",
        "db_name": arguments.get("db_name"),
        "body": body,
    }
