# SPDX-License-Identifier: Apache-2.0
"""The simulated Zilliz Cloud and Milvus over HTTP, as the real ones' documents and source describe them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_import_progress.sandbox import InvalidInputError, Sandbox

API_KEY = "sandbox-zilliz-key"
CLUSTER = "in01-sandbox"
V1 = "/v1/vector/collections/import"
V2 = "/v2/vectordb/jobs/import"
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")

CLOUD_ORDER = {
    "clusterId": CLUSTER,
    "collectionName": "articles",
    "objectUrls": [["s3://bucket/1.parquet"], ["s3://bucket/2.parquet"]],
}
MILVUS_ORDER = {"collectionName": "articles", "files": [["a/1.parquet"], ["a/2.parquet"]]}
UNKNOWN_KEY_CODE = 80002
PARTLY = {"points": [[0, 62.9]], "records": 100_000}
DONE = {"points": [[0, 100]], "records": 100_000}
FAILED = {"points": [[0, 40], [0, -1]], "records": 100_000, "reason": "file not found"}
LOADED = {"points": [[0, 99]], "records": 100_000}


class ZillizClient:
    """A client of the simulated Zilliz that follows its documents."""

    def __init__(self, sandbox: Sandbox, token: str = API_KEY) -> None:
        self.sandbox = sandbox
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, what: str, **query: Any) -> Any:
        return self.answer(requests.get(f"{self.sandbox.url}{V1}/{what}", query, headers=self.headers, timeout=5))

    def post(self, path: str, body: Any) -> Any:
        return self.answer(requests.post(self.sandbox.url + path, json=body, headers=self.headers, timeout=5))

    def v2(self, operation: str, **body: Any) -> Any:
        return self.post(f"{V2}/{operation}", body)

    def progress_v1(self, job_id: str) -> Any:
        return self.get("get", jobId=job_id, clusterId=CLUSTER)

    def on_cloud(self, job_id: str, operation: str = "describe") -> Any:
        return self.v2(operation, jobId=job_id, clusterId=CLUSTER)

    def on_milvus(self, job_id: str, operation: str = "describe") -> Any:
        return self.v2(operation, jobId=job_id)

    @staticmethod
    def answer(response: requests.Response) -> Any:
        assert response.status_code == 200
        return response.json()


@pytest.fixture
def zilliz(sandbox: Sandbox) -> ZillizClient:
    return ZillizClient(sandbox)


@pytest.fixture
def instant_zilliz(instant_sandbox: Sandbox) -> ZillizClient:
    return ZillizClient(instant_sandbox)


@pytest.fixture
def limited_sandbox() -> Iterator[Sandbox]:
    with Sandbox(rate_limits={"zilliz": 1}) as running:
        yield running


# Credentials


@pytest.mark.parametrize("token", ["wrong", "", "root:Milvus"])
def test_the_cloud_refuses_a_wrong_key_under_http_200(sandbox: Sandbox, token: str) -> None:
    client = ZillizClient(sandbox, token)
    refusal = client.get("list", clusterId=CLUSTER)
    assert refusal["code"] == UNKNOWN_KEY_CODE
    assert refusal["message"].startswith("Token not found or unauthorized")
    assert client.v2("list", clusterId=CLUSTER) == {"code": 21119, "message": "The apikey is illegal."}


@pytest.mark.parametrize("body", ["{}", "{"])
def test_milvus_refuses_a_wrong_key_under_http_401(sandbox: Sandbox, body: str) -> None:
    headers = {"Authorization": "Bearer wrong"}
    answer = requests.post(f"{sandbox.url}{V2}/list", data=body, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()) == (401, {"code": 1800, "message": "user hasn't authenticated"})


def test_the_key_must_be_a_bearer_token(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}{V1}/list?clusterId={CLUSTER}"
    for headers in ({}, {"Authorization": API_KEY}, {"Authorization": f"Basic {API_KEY}"}):
        assert requests.get(url, headers=headers, timeout=5).json()["code"] == UNKNOWN_KEY_CODE


def test_the_key_may_be_a_user_and_a_password(sandbox: Sandbox) -> None:
    sandbox.set_credentials("zilliz", api_key="root:Milvus")
    assert ZillizClient(sandbox, "root:Milvus").v2("list")["code"] == 0


def test_the_key_opens_its_own_cluster_only(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud")
    assert zilliz.get("get", jobId=job_id, clusterId="in01-other")["code"] == UNKNOWN_KEY_CODE
    assert zilliz.v2("describe", jobId=job_id, clusterId="in01-other")["code"] == UNKNOWN_KEY_CODE


def test_the_record_of_requests_shows_the_cluster_but_not_the_key(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    zilliz.get("get", jobId=API_KEY, clusterId=CLUSTER)
    (request,) = sandbox.requests()
    assert request["query"] == {"jobId": "***", "clusterId": CLUSTER}
    assert request["headers"]["Authorization"] == "Bearer ***"


def test_the_airflow_connection_names_the_cluster(sandbox: Sandbox) -> None:
    connection = sandbox.airflow_connection("zilliz")
    assert (connection["conn_type"], connection["password"]) == ("zilliz", API_KEY)
    assert connection["extra"] == {"cluster_id": CLUSTER}


# v1


def test_v1_running(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud", PARTLY)
    standing = {
        "fileName": "sandbox/1.parquet",
        "fileSize": 19_600_000,
        "readyPercentage": 0.62,
        "completeTime": None,
        "errorMessage": None,
    }
    data = {"collectionName": "sandbox", "jobId": job_id, **standing, "details": [standing]}
    assert zilliz.progress_v1(job_id) == {"code": 200, "data": data}


def test_v1_done(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    data = zilliz.progress_v1(sandbox.create_import("zilliz", "cloud", DONE))["data"]
    for standing in (data, *data["details"]):
        assert (standing["readyPercentage"], standing["errorMessage"]) == (1, None)
        assert MOMENT.fullmatch(standing["completeTime"])


def test_v1_failed_keeps_its_progress_and_has_a_reason(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    data = zilliz.progress_v1(sandbox.create_import("zilliz", "cloud", FAILED))["data"]
    for standing in (data, *data["details"]):
        assert (standing["readyPercentage"], standing["errorMessage"]) == (0.4, "file not found")
        assert standing["completeTime"] is None


def test_a_failure_has_a_message_without_a_scripted_one(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud", {"duration": 0, "fail_at": 40})
    assert zilliz.progress_v1(job_id)["data"]["errorMessage"]
    assert zilliz.on_cloud(job_id)["data"]["reason"]


def test_v1_is_not_ready_before_the_end(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud", {"points": [[0, 99.99]]})
    assert zilliz.progress_v1(job_id)["data"]["readyPercentage"] == 0.99


@pytest.mark.parametrize("missing", ["jobId", "clusterId"])
def test_v1_needs_both_parameters(sandbox: Sandbox, zilliz: ZillizClient, missing: str) -> None:
    query = {"jobId": sandbox.create_import("zilliz", "cloud"), "clusterId": CLUSTER}
    del query[missing]
    assert zilliz.get("get", **query) == {"code": 1802, "message": f"missing required parameters: {missing}"}


def test_v1_does_not_find_jobs_of_milvus(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "milvus")
    assert zilliz.progress_v1(job_id)["code"] == 2100


def test_v1_create(instant_zilliz: ZillizClient) -> None:
    order = {"clusterId": CLUSTER, "collectionName": "articles", "objectUrl": "s3://bucket/folder/"}
    created = instant_zilliz.post(V1, {**order, "accessKey": "a", "secretKey": "s"})
    assert created["code"] == 200
    assert re.fullmatch("job-[0-9a-z]{22}", created["data"]["jobId"])
    data = instant_zilliz.progress_v1(created["data"]["jobId"])["data"]
    assert (data["collectionName"], data["fileName"], data["readyPercentage"]) == ("articles", "s3://bucket/folder/", 1)


def test_a_job_with_a_file_of_unknown_type_fails_later(instant_zilliz: ZillizClient) -> None:
    order = {"clusterId": CLUSTER, "collectionName": "articles", "objectUrl": "s3://bucket/1.docx"}
    data = instant_zilliz.progress_v1(instant_zilliz.post(V1, order)["data"]["jobId"])["data"]
    assert data["errorMessage"] == "unexpected file type, files=['s3://bucket/1.docx']: importing data failed"


@pytest.mark.parametrize("missing", ["clusterId", "collectionName", "objectUrl"])
def test_v1_create_needs_its_parameters(zilliz: ZillizClient, missing: str) -> None:
    order = {"clusterId": CLUSTER, "collectionName": "articles", "objectUrl": "s3://bucket/folder/"}
    del order[missing]
    assert zilliz.post(V1, order) == {"code": 1802, "message": f"missing required parameters: {missing}"}


@pytest.mark.parametrize(("version", "code"), [("v1", 200), ("v2", 0)])
def test_the_key_lists_its_cluster(sandbox: Sandbox, version: str, code: int) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    answer = requests.get(f"{sandbox.url}/{version}/clusters", headers=headers, timeout=5).json()
    assert answer["code"] == code
    assert [cluster["clusterId"] for cluster in answer["data"]["clusters"]] == [CLUSTER]


def test_v1_list(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    sandbox.create_import("zilliz", "milvus", DONE)
    jobs = [sandbox.create_import("zilliz", "cloud", script) for script in (PARTLY, DONE, FAILED)]
    answer = zilliz.get("list", clusterId=CLUSTER)
    assert answer["code"] == 200
    assert {**answer["data"], "tasks": None} == {"tasks": None, "count": 3, "currentPage": 1, "pageSize": 10}
    assert [(task["jobId"], task["state"]) for task in answer["data"]["tasks"]] == [
        (jobs[0], "ImportRunning"),
        (jobs[1], "ImportCompleted"),
        (jobs[2], "ImportFailed"),
    ]


def test_lists_have_pages(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    jobs = [sandbox.create_import("zilliz", "cloud") for _ in range(3)]
    v1 = zilliz.get("list", clusterId=CLUSTER, pageSize=2, currentPage=2)["data"]
    v2 = zilliz.v2("list", clusterId=CLUSTER, pageSize=2, currentPage=2)["data"]
    assert [task["jobId"] for task in v1["tasks"]] == [record["jobId"] for record in v2["records"]] == jobs[2:]
    assert (v2["count"], v2["currentPage"], v2["pageSize"]) == (3, 2, 2)


# v2 on the cloud


@pytest.mark.parametrize("operation", ["describe", "getProgress", "get_progress"])
def test_cloud_done(sandbox: Sandbox, zilliz: ZillizClient, operation: str) -> None:
    job_id = sandbox.create_import("zilliz", "cloud", DONE)
    answer = zilliz.on_cloud(job_id, operation)
    completed = answer["data"]["completeTime"]
    assert MOMENT.fullmatch(completed)
    standing = {
        "fileName": "sandbox/1.parquet",
        "fileSize": 19_600_000,
        "state": "Completed",
        "progress": 100,
        "completeTime": completed,
        "reason": "",
    }
    data = {"jobId": job_id, "collectionName": "sandbox", "totalRows": 100_000, **standing, "details": [standing]}
    assert answer == {"code": 0, "data": data}


@pytest.mark.parametrize(
    ("script", "job", "file"),
    [
        ({"points": [[0, 9.9]]}, ("Pending", 9), ("Pending", 0)),
        ({"points": [[0, 10]]}, ("Importing", 10), ("InProgress", 10)),
        ({"points": [[0, 99.9]]}, ("Importing", 99), ("InProgress", 99)),
        (FAILED, ("Failed", 0), ("Failed", 0)),
        (LOADED, ("Uncommitted", 99), ("Completed", 100)),
    ],
)
@pytest.mark.parametrize("kind", ["cloud", "milvus"])
def test_states(sandbox: Sandbox, zilliz: ZillizClient, kind: str, script: Any, job: Any, file: Any) -> None:
    job_id = sandbox.create_import("zilliz", kind, script)
    data = (zilliz.on_cloud(job_id) if kind == "cloud" else zilliz.on_milvus(job_id))["data"]
    assert (data["state"], data["progress"], data["completeTime"]) == (*job, "")
    assert [(detail["state"], detail["progress"]) for detail in data["details"]] == [file]


def test_cloud_failed_has_a_reason(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    data = zilliz.on_cloud(sandbox.create_import("zilliz", "cloud", FAILED))["data"]
    assert [standing["reason"] for standing in (data, *data["details"])] == ["file not found"] * 2


def test_a_job_of_the_cloud_can_be_polled_through_both_versions(zilliz: ZillizClient) -> None:
    job_id = zilliz.v2("create", **CLOUD_ORDER)["data"]["jobId"]
    assert zilliz.progress_v1(job_id)["data"]["readyPercentage"] == 0
    assert zilliz.on_cloud(job_id)["data"]["progress"] == 0


def test_a_project_and_a_region_do_instead_of_a_cluster(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud", DONE)
    answer = zilliz.v2("describe", jobId=job_id, clusterId="", projectId="proj-1", regionId="aws-us-west-2")
    assert answer["data"]["state"] == "Completed"


def test_the_cloud_needs_a_cluster(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud")
    missing = {"code": 1802, "message": "missing required parameters: clusterId"}
    assert zilliz.v2("describe", jobId=job_id) == missing
    assert zilliz.v2("describe", jobId=job_id, clusterId="") == missing


@pytest.mark.parametrize(
    "paths",
    [
        {"objectUrls": [["s3://bucket/1.parquet"], ["s3://bucket/2.parquet"]]},
        {"objectUrl": "s3://bucket/1.parquet"},
        {"volumeName": "volume", "dataPaths": [["s3://bucket/1.parquet"]]},
    ],
)
def test_the_cloud_takes_files_from_stores_and_volumes(zilliz: ZillizClient, paths: Any) -> None:
    created = zilliz.v2("create", clusterId=CLUSTER, collectionName="articles", **paths)
    data = zilliz.on_cloud(created["data"]["jobId"])["data"]
    assert (data["collectionName"], data["fileName"]) == ("articles", "s3://bucket/1.parquet")


def test_cloud_list(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    sandbox.create_import("zilliz", "milvus")
    jobs = [sandbox.create_import("zilliz", "cloud", script) for script in (PARTLY, DONE, FAILED)]
    records = zilliz.v2("list", clusterId=CLUSTER)["data"]["records"]
    assert [(record["jobId"], record["state"]) for record in records] == [
        (jobs[0], "InProgress"),
        (jobs[1], "Completed"),
        (jobs[2], "Failed"),
    ]


# Milvus


def test_milvus_running(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "milvus", PARTLY)
    answer = zilliz.on_milvus(job_id)
    assert MOMENT.fullmatch(answer["data"].pop("createTime"))
    standing = {
        "fileSize": 19_600_000,
        "state": "Importing",
        "progress": 62,
        "completeTime": "",
        "importedRows": 62_000,
        "totalRows": 100_000,
    }
    file = {**standing, "fileName": "[sandbox/1.parquet]", "state": "InProgress"}
    data = {"jobId": job_id, "collectionName": "sandbox", **standing, "details": [file]}
    assert answer == {"code": 0, "data": data}


def test_milvus_done(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    data = zilliz.on_milvus(sandbox.create_import("zilliz", "milvus", DONE))["data"]
    assert (data["state"], data["progress"]) == ("Completed", 100)
    assert data["importedRows"] == data["totalRows"] == 100_000
    assert MOMENT.fullmatch(data["completeTime"])
    assert "reason" not in data


def test_milvus_failed_falls_back_to_nothing(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    data = zilliz.on_milvus(sandbox.create_import("zilliz", "milvus", FAILED))["data"]
    assert (data["progress"], data["importedRows"], data["totalRows"]) == (0, 0, 0)
    assert (data["state"], data["reason"]) == ("Failed", "file not found")


def test_milvus_does_not_mind_a_cluster(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "milvus", DONE)
    assert zilliz.v2("describe", jobId=job_id, clusterId="any") == zilliz.on_milvus(job_id)


def test_milvus_ids_are_numbers(zilliz: ZillizClient) -> None:
    created = zilliz.v2("create", **MILVUS_ORDER)
    assert created["code"] == 0
    assert re.fullmatch("[0-9]{18}", created["data"]["jobId"])


def test_an_id_may_be_sent_as_a_number(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    sandbox.create_import("zilliz", "milvus", DONE, import_id="449839014328146739")
    assert zilliz.v2("describe", jobId=449839014328146739)["data"]["jobId"] == "449839014328146739"


def test_milvus_divides_the_rows_among_the_groups_of_files(zilliz: ZillizClient) -> None:
    job_id = zilliz.v2("create", **{**MILVUS_ORDER, "files": [["a"], ["b"], ["c.id", "c.vector"]]})["data"]["jobId"]
    data = zilliz.on_milvus(job_id)["data"]
    assert [(file["fileName"], file["totalRows"]) for file in data["details"]] == [
        ("[a]", 334),
        ("[b]", 333),
        ("[c.id c.vector]", 333),
    ]
    assert data["totalRows"] == 1000


def test_milvus_list_is_of_a_collection_or_of_all(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    sandbox.create_import("zilliz", "cloud")
    failed = sandbox.create_import("zilliz", "milvus", FAILED)
    created = zilliz.v2("create", **MILVUS_ORDER)["data"]["jobId"]
    new = {"jobId": created, "collectionName": "articles", "state": "Pending", "progress": 0}
    old = {
        "jobId": failed,
        "collectionName": "sandbox",
        "state": "Failed",
        "progress": 0,
        "reason": "file not found",
    }
    assert zilliz.v2("list") == {"code": 0, "data": {"records": [old, new]}}
    assert zilliz.v2("list", collectionName="articles") == {"code": 0, "data": {"records": [new]}}


def test_an_unknown_job_is_refused_under_http_200(zilliz: ZillizClient) -> None:
    refusal = zilliz.on_milvus("449839014328146739")
    assert refusal["code"] == 2100
    assert "import job does not exist, jobID=449839014328146739" in refusal["message"]
    assert "import job does not exist" in zilliz.on_cloud("job-nothing")["message"]
    assert "import job does not exist" in zilliz.progress_v1("job-nothing")["message"]


def test_an_id_of_milvus_that_is_not_a_number_cannot_be_parsed(zilliz: ZillizClient) -> None:
    refusal = zilliz.on_milvus("first")
    assert refusal["code"] == 2100
    assert "parse job id failed" in refusal["message"]


@pytest.mark.parametrize(
    ("operation", "body", "missing"),
    [
        ("describe", {}, "jobId"),
        ("commit", {}, "jobId"),
        ("abort", {}, "jobId"),
        ("create", {"files": [["a"]]}, "collectionName"),
        ("create", {"collectionName": "articles"}, "files"),
        ("create", {"collectionName": "articles", "files": []}, "files"),
        ("create", {"collectionName": "articles", "files": "a"}, "files"),
        ("create", {"collectionName": "articles", "files": ["a"]}, "files"),
        ("create", {"collectionName": "articles", "files": [[]]}, "files"),
        ("create", {"collectionName": "articles", "clusterId": CLUSTER}, "objectUrls"),
        ("create", {"collectionName": "articles", "clusterId": CLUSTER, "volumeName": "v"}, "dataPaths"),
    ],
)
def test_v2_needs_its_parameters(zilliz: ZillizClient, operation: str, body: Any, missing: str) -> None:
    assert zilliz.v2(operation, **body) == {"code": 1802, "message": f"missing required parameters: {missing}"}


def test_a_body_that_is_not_a_json_object_is_refused(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    refusal = {"code": 1801, "message": "can only accept json format request"}
    assert zilliz.post(f"{V2}/describe", ["449839014328146739"]) == refusal
    url = f"{sandbox.url}{V2}/describe"
    assert requests.post(url, data="{", headers=zilliz.headers, timeout=5).json() == refusal


def test_older_servers_answer_success_as_200(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "milvus", DONE)
    sandbox.change("zilliz", success_code=200)
    assert zilliz.on_milvus(job_id)["code"] == zilliz.v2("list")["code"] == 200
    assert zilliz.v2("create", **MILVUS_ORDER)["code"] == 200


@pytest.mark.parametrize("changes", [{}, {"success_code": 1}, {"success_code": None}, {"success": 0}])
def test_nothing_but_the_success_code_can_be_changed(sandbox: Sandbox, changes: Any) -> None:
    with pytest.raises(InvalidInputError, match="success"):
        sandbox.change("zilliz", **changes)


def test_too_many_requests_are_refused_under_http_200_for_each_endpoint(limited_sandbox: Sandbox) -> None:
    zilliz = ZillizClient(limited_sandbox)
    assert [zilliz.v2("list")["code"], zilliz.v2("list")["code"]] == [0, 1807]
    assert zilliz.get("list", clusterId=CLUSTER)["code"] == 200


# Commit and abort


def test_a_job_without_auto_commit_waits_to_be_committed(instant_zilliz: ZillizClient) -> None:
    job_id = instant_zilliz.v2("create", **MILVUS_ORDER, options={"auto_commit": "false"})["data"]["jobId"]
    data = instant_zilliz.on_milvus(job_id)["data"]
    assert (data["state"], data["progress"]) == ("Uncommitted", 99)
    assert data["importedRows"] == data["totalRows"]
    assert instant_zilliz.on_milvus(job_id, "commit") == {"code": 0, "data": {}}
    assert instant_zilliz.on_milvus(job_id)["data"]["state"] == "Completed"


def test_a_commit_takes_its_time(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud", LOADED)
    zilliz.on_cloud(job_id, "commit")
    data = zilliz.on_cloud(job_id)["data"]
    assert (data["state"], data["progress"], data["completeTime"]) == ("Committing", 99, "")


@pytest.mark.parametrize("script", [PARTLY, DONE, FAILED])
def test_only_a_job_that_waits_for_it_can_be_committed(sandbox: Sandbox, zilliz: ZillizClient, script: Any) -> None:
    job_id = sandbox.create_import("zilliz", "milvus", script)
    before = zilliz.on_milvus(job_id)
    assert zilliz.on_milvus(job_id, "commit")["code"] == 2100
    assert zilliz.on_milvus(job_id) == before


@pytest.mark.parametrize("script", [PARTLY, LOADED])
def test_an_aborted_job_has_failed(sandbox: Sandbox, zilliz: ZillizClient, script: Any) -> None:
    job_id = sandbox.create_import("zilliz", "milvus", script)
    assert zilliz.on_milvus(job_id, "abort") == {"code": 0, "data": {}}
    data = zilliz.on_milvus(job_id)["data"]
    assert (data["state"], data["reason"]) == ("Failed", "aborted by the user")


@pytest.mark.parametrize("script", [DONE, FAILED])
def test_a_job_that_is_over_cannot_be_aborted(sandbox: Sandbox, zilliz: ZillizClient, script: Any) -> None:
    job_id = sandbox.create_import("zilliz", "milvus", script)
    before = zilliz.on_milvus(job_id)
    assert zilliz.on_milvus(job_id, "abort")["code"] == 2100
    assert zilliz.on_milvus(job_id) == before


# The control API


@pytest.mark.parametrize(
    ("answer", "progress"),
    [
        ({"code": 200, "data": {"readyPercentage": 0.5, "errorMessage": None}}, 50),
        ({"code": 200, "data": {"readyPercentage": 0.5, "errorMessage": "no"}}, -1),
        ({"code": 0, "data": {"state": "Importing", "progress": 62}}, 62),
        ({"code": 0, "data": {"state": "Failed", "progress": 0}}, -1),
        ({"code": 1807, "message": "request is rejected by limiter"}, None),
        ({"code": 0, "data": {"progress": True}}, None),
        ("nothing", None),
    ],
)
def test_the_progress_of_literal_answers_is_listed(
    sandbox: Sandbox, zilliz: ZillizClient, answer: Any, progress: float | None
) -> None:
    job_id = sandbox.create_import("zilliz", "cloud", {"answers": [answer]})
    assert zilliz.on_cloud(job_id) == answer
    assert sandbox.imports()[0]["progress"] == progress


def test_requests_of_both_versions_are_counted_by_job(sandbox: Sandbox, zilliz: ZillizClient) -> None:
    job_id = sandbox.create_import("zilliz", "cloud")
    zilliz.progress_v1(job_id)
    zilliz.on_cloud(job_id)
    assert sandbox.request_count(job_id, vendor="zilliz") == 2
