# SPDX-License-Identifier: Apache-2.0
"""The vendor's own client, pymilvus, talks to the imitated Zilliz Cloud and Milvus and takes them for the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_import_progress.sandbox import Sandbox
from tests.support import zilliz_requests

bulk_writer = pytest.importorskip(
    "pymilvus.bulk_writer",
    reason="pymilvus[bulk-writer] is not installed; make fidelity has it",
    exc_type=ImportError,
)
MilvusException = pytest.importorskip("pymilvus.exceptions").MilvusException

API_KEY = "sandbox-zilliz-key"
CLUSTER = "in01-sandbox"


@pytest.fixture
def instant_sandbox() -> Iterator[Sandbox]:
    """Serve imports that are over at once."""
    with Sandbox(import_duration=0) as running:
        yield running


@pytest.fixture(params=["cloud", "milvus"])
def client(request: pytest.FixtureRequest, instant_sandbox: Sandbox) -> Client:
    return Client(instant_sandbox, request.param)


class Client:
    """Call pymilvus with what it needs for the cloud or for Milvus."""

    def __init__(self, sandbox: Sandbox, kind: str) -> None:
        self.kind = kind
        self.sandbox = sandbox
        self.access = {"url": sandbox.url, "api_key": API_KEY}
        if kind == "cloud":
            self.access["cluster_id"] = CLUSTER

    def job_with(self, script: dict[str, Any]) -> str:
        return self.sandbox.create_import("zilliz", self.kind, script)

    def create(self) -> str:
        paths = [["folder/1.parquet"], ["folder/2.parquet"]]
        files = {"object_urls" if self.kind == "cloud" else "files": paths}
        answer = bulk_writer.bulk_import(collection_name="articles", **files, **self.access)
        return str(answer.json()["data"]["jobId"])

    def progress(self, job_id: str) -> Any:
        return bulk_writer.get_import_progress(job_id=job_id, **self.access).json()["data"]

    def jobs(self, **options: Any) -> Any:
        return bulk_writer.list_import_jobs(**options, **self.access).json()["data"]["records"]


def test_a_job_that_pymilvus_creates_is_completed(client: Client) -> None:
    progress = client.progress(client.create())
    assert (progress["collectionName"], progress["state"], progress["progress"]) == ("articles", "Completed", 100)
    assert len(progress["details"]) == 2


def test_pymilvus_sees_a_job_advance_until_it_is_completed(client: Client) -> None:
    job_id = client.job_with({"duration": 0.5})
    seen = [client.progress(job_id)]
    while seen[-1]["state"] in ("Pending", "Importing"):
        seen.append(client.progress(job_id))
    percentages = [progress["progress"] for progress in seen]
    assert len(set(percentages)) > 1
    assert percentages == sorted(percentages)
    assert (seen[-1]["state"], percentages[-1]) == ("Completed", 100)


def test_pymilvus_sees_that_a_job_failed_and_why(client: Client) -> None:
    failed = client.job_with({"duration": 0, "fail_at": 40, "reason": "file not found"})
    progress = client.progress(failed)
    assert (progress["state"], progress["progress"], progress["reason"]) == ("Failed", 0, "file not found")


def test_pymilvus_lists_the_jobs(client: Client) -> None:
    job_ids = [client.create(), client.create()]
    assert [record["jobId"] for record in client.jobs(collection_name="articles")] == job_ids
    assert client.jobs(collection_name="other") == []


def test_pymilvus_raises_for_an_unknown_job(client: Client) -> None:
    job_id = "job-nothing" if client.kind == "cloud" else "449839014328146739"
    with pytest.raises(MilvusException, match="import job does not exist"):
        client.progress(job_id)


def test_pymilvus_raises_for_a_wrong_key(client: Client) -> None:
    job_id = client.create()
    client.access["api_key"] = "wrong"
    refused = "The apikey is illegal" if client.kind == "cloud" else "status code: 401"
    with pytest.raises(MilvusException, match=refused):
        client.progress(job_id)


def test_pymilvus_raises_for_the_limiter(client: Client) -> None:
    client.sandbox.set_rate_limits({"zilliz": 1})
    client.jobs()
    with pytest.raises(MilvusException, match="code: 1807, message: request is rejected by limiter"):
        client.jobs()


@pytest.mark.parametrize("case", zilliz_requests.CREATE_REQUESTS)
def test_pymilvus_sends_the_same_start_as_the_hook(case: str) -> None:
    arguments, has_storage, _ = zilliz_requests.CREATE_REQUESTS[case]
    storage = zilliz_requests.STORAGE if has_storage else {}
    with zilliz_requests.recording() as (port, requests):
        url = f"http://127.0.0.1:{port}"
        bulk_writer.bulk_import(url=url, api_key=zilliz_requests.API_KEY, **arguments, **storage)
    assert requests == [zilliz_requests.expected(case)]
