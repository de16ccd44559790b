# SPDX-License-Identifier: Apache-2.0
"""The Zilliz hook and sensor against the sandbox: the cloud's v1 and v2, and Milvus."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportPollError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob
from airflow_import_progress.progress import ImportState
from airflow_import_progress.sensors.zilliz import ZillizImportSensor

API_KEY = "zilliz-key-never-to-be-seen"
CLUSTER_ID = "in01-sandbox"
V1, V2 = "/v1/vector/collections/import", "/v2/vectordb/jobs/import"

#: How each of the APIs is reached: the kind of job and the connection's extras.
APIS = {
    "v1": ("cloud", {"cluster_id": CLUSTER_ID}),
    "v2": ("cloud", {"cluster_id": CLUSTER_ID, "api_version": "v2"}),
    "milvus": ("milvus", {"api_version": "v2"}),
}


@pytest.fixture
def zilliz_sandbox(running_sandbox, connect_to):
    running_sandbox.set_credentials("zilliz", api_key=API_KEY)
    connect_to("zilliz")
    yield running_sandbox
    running_sandbox.reset()


@pytest.fixture(params=APIS)
def api(request, zilliz_sandbox, connect_to):
    """Connect by each of the APIs, and return its name."""
    connect_to("zilliz", extra=APIS[request.param][1])
    return request.param


@pytest.fixture
def create(zilliz_sandbox, api):
    """Return a function that creates a job with this course, and gives its id."""

    def create(**script):
        return zilliz_sandbox.create_import("zilliz", APIS[api][0], script)

    return create


@pytest.fixture
def create_v1(zilliz_sandbox):
    """Return a function that creates a job for v1 whose polls are answered with these data in turn."""

    def create(*answers):
        return zilliz_sandbox.create_import(
            "zilliz", "cloud", {"answers": [{"code": 200, "data": data} for data in answers]}
        )

    return create


# The hook


def test_tells_how_far_a_job_is(create, get_by):
    progress = get_by(ZillizHook(), ZillizImportJob(create(points=[[0, 62]])))
    assert (progress.state, progress.percent) == (ImportState.RUNNING, 62.0)


def test_a_job_that_is_done_has_succeeded_without_a_warning(create, get_by):
    progress = get_by(ZillizHook(), ZillizImportJob(create(duration=0)))
    assert (progress.state, progress.percent, progress.warning) == (ImportState.SUCCEEDED, 100.0, None)
    assert progress.finished_at is not None


def test_a_job_that_failed_says_why(create, get_by):
    job_id = create(points=[[0, 40], [0, -1]], reason="file not found")
    progress = get_by(ZillizHook(), ZillizImportJob(job_id))
    assert (progress.state, progress.message) == (ImportState.FAILED, "file not found")


@pytest.mark.parametrize("api", ["v2", "milvus"], indirect=True)
def test_a_job_that_waits_for_its_commit_requires_action(create, get_by):
    progress = get_by(ZillizHook(), ZillizImportJob(create(points=[[0, 99]])))
    assert (progress.state, progress.vendor_status) == (ImportState.ACTION_REQUIRED, "Uncommitted")


@pytest.mark.parametrize("api", ["milvus"], indirect=True)
def test_milvus_tells_rows(create, get_by):
    progress = get_by(ZillizHook(), ZillizImportJob(create(points=[[0, 62]], records=100_000)))
    assert (progress.total, progress.processed) == (100_000, 62_000)


def test_a_job_may_have_as_many_files_as_milvus_takes(zilliz_sandbox, api, get_by):
    standing = {"readyPercentage": 1, "completeTime": "2023-10-28T06:51:49Z", "state": "Completed"}
    files = [{"fileName": "column.npy " * 200, **standing}] * 1024
    answer = {"code": 0, "data": {**standing, "details": files}}
    job_id = zilliz_sandbox.create_import("zilliz", APIS[api][0], {"answers": [answer]})
    progress = get_by(ZillizHook(), ZillizImportJob(job_id))
    assert (progress.state, progress.details["file_count"]) == (ImportState.SUCCEEDED, 1024)


def test_servers_of_v2_that_answer_200_are_understood(zilliz_sandbox, create, get_by):
    zilliz_sandbox.change("zilliz", success_code=200)
    assert get_by(ZillizHook(), ZillizImportJob(create(duration=0))).state is ImportState.SUCCEEDED


def test_sends_exactly_the_documented_request(zilliz_sandbox, api, create, get_by):
    get_by(ZillizHook(), ZillizImportJob(create()))
    (asked,) = zilliz_sandbox.requests()
    assert asked["authorized"]
    assert asked["headers"]["Authorization"] == "Bearer ***"
    assert (asked["method"], asked["path"]) == (("GET", f"{V1}/get") if api == "v1" else ("POST", f"{V2}/describe"))


@pytest.mark.parametrize("api", ["milvus"], indirect=True)
def test_a_milvus_user_and_password_make_the_token(zilliz_sandbox, connect_to, create, get_by):
    zilliz_sandbox.set_credentials("zilliz", api_key="root:Milvus")
    connect_to("zilliz", login="root", password="Milvus", extra={"api_version": "v2"})
    assert get_by(ZillizHook(), ZillizImportJob(create())).state is ImportState.PENDING


@pytest.mark.parametrize("extra", [{}, {"api_version": "v2"}], ids=["v1", "v2"])
def test_the_cluster_may_be_the_imports_own(zilliz_sandbox, connect_to, get_by, extra):
    connect_to("zilliz", extra=extra)
    job_id = zilliz_sandbox.create_import("zilliz", "cloud", {"duration": 0})
    assert get_by(ZillizHook(), ZillizImportJob(job_id, cluster_id=CLUSTER_ID)).state is ImportState.SUCCEEDED


def test_a_job_may_be_in_a_project(zilliz_sandbox, connect_to, get_by):
    connect_to("zilliz", extra={"api_version": "v2"})
    job_id = zilliz_sandbox.create_import("zilliz", "cloud", {"duration": 0})
    import_ = ZillizImportJob(job_id, project_id="proj-1", region_id="aws-us-west-2")
    assert get_by(ZillizHook(), import_).state is ImportState.SUCCEEDED


def test_a_wrong_key_says_so_without_the_key(connect_to, api, create, get_by):
    import_ = ZillizImportJob(create())
    connect_to("zilliz", password="wrong-key-77", extra=APIS[api][1])
    with pytest.raises(ImportRequestError, match="Zilliz did not accept the credentials") as caught:
        get_by(ZillizHook(), import_)
    assert not caught.value.transient
    assert "wrong-key-77" not in str(caught.value)


def test_a_right_that_is_missing_is_told_with_advice(zilliz_sandbox, create, get_by):
    import_ = ZillizImportJob(create())
    zilliz_sandbox.add_fault({"status": 403, "body": '{"code": 1401, "message": "permission deny"}'}, vendor="zilliz")
    with pytest.raises(
        ImportRequestError, match=r"HTTP 403 Forbidden: permission deny\..*the right to read import jobs"
    ):
        get_by(ZillizHook(), import_)


def test_a_key_that_was_replaced_in_airflow_is_looked_up_again(zilliz_sandbox, connect_to, api, create):
    import_ = ZillizImportJob(create(points=[[0, 62]]))
    with ZillizHook() as hook:
        hook.get_progress(import_)
        zilliz_sandbox.set_credentials("zilliz", api_key="the-new-key")
        connect_to("zilliz", password="the-new-key", extra=APIS[api][1])
        assert hook.get_progress(import_).percent == 62


def test_an_unknown_job_is_named_with_what_to_check(api, get_by):
    job_id = "449839014328146739" if api == "milvus" else "job-unknown"
    with pytest.raises(ImportRequestError, match=rf"Zilliz import job '{job_id}' .*There is no such job: check job_id"):
        get_by(ZillizHook(), ZillizImportJob(job_id))


def test_the_rate_limit_under_http_200_may_pass(zilliz_sandbox, create, get_by):
    import_ = ZillizImportJob(create())
    zilliz_sandbox.set_rate_limits({"zilliz": 1})
    get_by(ZillizHook(), import_)
    with pytest.raises(ImportPollError, match="request is rejected by limiter") as caught:
        get_by(ZillizHook(), import_)
    assert caught.value.transient


def test_without_any_cluster_nothing_is_sent(zilliz_sandbox, connect_to, get_by):
    connect_to("zilliz", extra={})
    with pytest.raises(ImportRequestError, match="needs the cluster of a job"):
        get_by(ZillizHook(), ZillizImportJob("job-01"))
    assert zilliz_sandbox.requests() == []


def test_a_milvus_that_is_asked_by_v1_says_what_to_set(zilliz_sandbox, get_by):
    zilliz_sandbox.add_fault({"status": 404, "body": "404 page not found"}, vendor="zilliz")
    with pytest.raises(ImportRequestError, match=r"HTTP 404.*a Milvus needs the connection's extra 'api_version' 'v2'"):
        get_by(ZillizHook(), ZillizImportJob("449839014328146739"))


# A Milvus before the path of v2 that this package asks first


@pytest.fixture
def old_milvus(zilliz_sandbox, connect_to):
    connect_to("zilliz", extra={"api_version": "v2"})
    zilliz_sandbox.add_fault({"status": 404, "body": "404 page not found"}, path_contains="/describe", times=None)
    return zilliz_sandbox


def test_a_milvus_without_the_path_is_asked_at_the_one_that_it_had_before(old_milvus, get_by):
    job_id = old_milvus.create_import("zilliz", "milvus", {"duration": 0})
    assert get_by(ZillizHook(), ZillizImportJob(job_id)).state is ImportState.SUCCEEDED
    assert [asked["path"] for asked in old_milvus.requests()] == [f"{V2}/describe", f"{V2}/get_progress"]


def test_an_old_milvus_is_waited_for_in_every_mode(old_milvus, run_sensor):
    job_id = old_milvus.create_import("zilliz", "milvus", {"duration": 0})
    assert run_sensor(ZillizImportSensor, job_id=job_id)["state"] == "succeeded"


def test_the_connection_test_asks_an_old_milvus_as_a_wait_does(old_milvus):
    assert ZillizHook().test_connection()[0]
    old_milvus.add_fault({"status": 404, "body": "404 page not found"}, path_contains="/get_progress", times=None)
    verified, words = ZillizHook().test_connection()
    assert not verified
    assert "returned HTTP 404, and so did" in words


def test_a_server_without_either_path_does_not_advise_what_is_set_already(old_milvus, get_by):
    old_milvus.add_fault({"status": 404, "body": "404 page not found"}, path_contains="/get_progress", times=None)
    with pytest.raises(ImportRequestError, match=r"or a gateway that does not pass them on") as caught:
        get_by(ZillizHook(), ZillizImportJob("449839014328146739"))
    assert "api_version" not in str(caught.value)


# The "Test" button


def test_the_connection_test_asks_for_import_jobs(zilliz_sandbox, api):
    verified, words = ZillizHook().test_connection()
    assert verified, words
    assert f"{zilliz_sandbox.url} accepted the credentials for the import jobs" in words
    paths = [asked["path"] for asked in zilliz_sandbox.requests()]
    assert paths == ([f"{V1}/list"] if api == "v1" else [f"{V2}/describe"])


@pytest.mark.parametrize(("status", "code"), [(403, 1401), (500, 65535), (200, 1100), (200, 65535)])
def test_the_connection_test_passes_for_no_other_refusal_than_that_of_an_unknown_job(
    zilliz_sandbox, connect_to, status, code
):
    connect_to("zilliz", extra={"api_version": "v2"})
    body = json.dumps({"code": code, "message": "permission deny"})
    zilliz_sandbox.add_fault({"status": status, "body": body}, path_contains="/describe")
    verified, words = ZillizHook().test_connection()
    assert not verified
    assert "permission deny" in words


@pytest.mark.parametrize(("body", "verified"), [('{"code": 200, "data": {"clusters": []}}', True), ("{}", False)])
def test_the_connection_test_without_a_cluster_asks_for_the_clusters(zilliz_sandbox, connect_to, body, verified):
    connect_to("zilliz", extra={})
    zilliz_sandbox.add_fault({"status": 200, "body": body}, path_contains="/v1/clusters")
    result, words = ZillizHook().test_connection()
    assert result is verified
    assert ("Enter the extra 'cluster_id'" in words) is verified


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong"}, "did not accept the credentials"),
        ({"password": ""}, "no password"),
        ({"host": "", "port": None, "schema": ""}, "neither a host nor the extra 'cloud_region'"),
        ({"extra": {"cluster_id": "in01-other"}}, "did not accept the credentials"),
        ({"extra": {"api_version": "v3"}}, "must be 'v1' or 'v2'"),
        ({"conn_type": "http"}, "not 'zilliz'"),
    ],
)
def test_the_connection_test_says_what_is_wrong(zilliz_sandbox, connect_to, fields, words):
    connect_to("zilliz", **fields)
    verified, said = ZillizHook().test_connection()
    assert not verified
    assert words in said


# The sensor, in every mode


def v1(ready, *, end=None, error=None):
    return {"readyPercentage": ready, "completeTime": end, "errorMessage": error}


def test_a_job_that_gets_done_is_waited_for(run_sensor, zilliz_sandbox, create_v1, clock):
    job_id = create_v1(v1(0), v1(0.01), v1(0.5), v1(0.99), v1(1, end="2023-10-28T06:51:49Z"))
    result = run_sensor(ZillizImportSensor, job_id=job_id)
    assert (result["state"], result["percent"], result["import_id"]) == ("succeeded", 100.0, job_id)
    assert len(zilliz_sandbox.requests(job_id)) == 5


def test_a_job_of_milvus_is_waited_for_through_its_commit(run_sensor, zilliz_sandbox, connect_to, logged):
    connect_to("zilliz", extra={"api_version": "v2"})
    states = ["Pending", "Importing", "Uncommitted", "Committing", "Completed"]
    answers = [{"code": 0, "data": {"state": state, "progress": 99}} for state in states]
    job_id = zilliz_sandbox.create_import("zilliz", "milvus", {"answers": answers})
    assert run_sensor(ZillizImportSensor, job_id=job_id)["vendor_status"] == "Completed"
    log = logged()
    assert "waits for somebody to act at the vendor (status 'Uncommitted')" in log
    assert f"Commit it with POST {V2}/commit" in log


def test_a_job_that_waits_for_its_commit_fails_the_task_if_asked_for(run_sensor, zilliz_sandbox, connect_to):
    connect_to("zilliz", extra={"api_version": "v2"})
    job_id = zilliz_sandbox.create_import("zilliz", "milvus", {"points": [[0, 99]]})
    with pytest.raises(ImportActionRequiredError, match=r"'Uncommitted'.*Commit it with.*Then clear this task"):
        run_sensor(ZillizImportSensor, job_id=job_id, on_action_required="fail")


@pytest.mark.parametrize("polls_before", [0, 1])
def test_a_job_that_fails_fails_the_task_with_what_is_known(run_sensor, create_v1, polls_before):
    job_id = create_v1(*[v1(0.2)] * polls_before, v1(0.4, error="the schema does not match"))
    with pytest.raises(ImportFailedError) as caught:
        run_sensor(ZillizImportSensor, job_id=job_id)
    assert str(caught.value).startswith(
        f"Zilliz import job '{job_id}' (connection 'zilliz_default') failed at the vendor "
        f"(status 0.4: the schema does not match). Check the job in Zilliz Cloud's console"
    )


def test_a_job_that_runs_for_ever_times_out(run_sensor, create_v1):
    job_id = create_v1(v1(0.99))
    with pytest.raises(AirflowSensorTimeout, match="99 % · running"):
        run_sensor(ZillizImportSensor, job_id=job_id, timeout=300)


def test_an_answer_that_is_no_progress_is_never_success(run_sensor, create_v1):
    job_id = create_v1(v1(0.5), {"state": "Completed", "progress": 100})
    with pytest.raises(ImportProtocolError, match="readyPercentage"):
        run_sensor(ZillizImportSensor, job_id=job_id)


def test_the_limiter_is_waited_out(run_sensor, zilliz_sandbox, create_v1):
    job_id = create_v1(v1(1, end="2023-10-28T06:51:49Z"))
    zilliz_sandbox.add_fault({"status": 200, "body": '{"code": 1807, "message": "limiter"}'}, import_id=job_id, times=3)
    assert run_sensor(ZillizImportSensor, job_id=job_id)["state"] == "succeeded"
    assert len(zilliz_sandbox.requests(job_id)) == 4


def test_an_unauthorised_code_fails_the_task_at_once(run_sensor, connect_to, zilliz_sandbox, create_v1):
    job_id = create_v1(v1(0.5))
    connect_to("zilliz", password="wrong")
    with pytest.raises(ImportRequestError, match="error 80002"):
        run_sensor(ZillizImportSensor, job_id=job_id)
    assert len(zilliz_sandbox.requests(job_id)) == 1


def test_done_without_a_time_is_told_in_the_log(run_sensor, create_v1, logged):
    job_id = create_v1(v1(1))
    assert run_sensor(ZillizImportSensor, job_id=job_id)["state"] == "succeeded"
    assert "but completeTime is empty" in logged()


def test_the_key_is_in_no_log_and_no_exception(run_sensor, create_v1, logged):
    job_id = create_v1(v1(0.5), v1(0.6, error=f"cannot read with {API_KEY}"))
    with pytest.raises(ImportFailedError, match=r"cannot read with \*\*\*") as caught:
        run_sensor(ZillizImportSensor, job_id=job_id)
    assert API_KEY not in logged() + str(caught.value)


# Starting an import


def test_starts_a_job_through_the_hook_and_follows_it(zilliz_sandbox, get_by):
    order = {"clusterId": CLUSTER_ID, "collectionName": "articles", "objectUrl": "s3://bucket/1.parquet"}
    answer = ZillizHook().request("POST", V1, json=order).json()
    progress = get_by(ZillizHook(), ZillizImportJob(answer["data"]["jobId"]))
    assert (progress.state, progress.details["collection"]) == (ImportState.RUNNING, "articles")
