# SPDX-License-Identifier: Apache-2.0
"""Zilliz's operator against the sandbox: each job is started once, whatever happens."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowSensorTimeout

from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportFailedError,
    ImportFileError,
    ImportPollError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks import zilliz_storage
from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob, ZillizStartedJob
from airflow_import_progress.hooks.zilliz_storage import StorageConnections
from airflow_import_progress.http.connection_cache import ConnectionCache
from airflow_import_progress.operators import zilliz as operators_zilliz
from airflow_import_progress.operators.zilliz import ZillizImportOperator
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sensors.zilliz import ZillizImportSensor
from tests.support import zilliz_requests
from tests.support.operators import Killed, die

API_KEY = "zilliz-key-never-to-be-seen"
CLUSTER_ID = "in01-sandbox"
ACCESS_KEY, SECRET_KEY, TOKEN = "AKIA-never-to-be-seen", "secret/never+to=be&seen", "token-never-to-be-seen"
STORAGE = {"conn_type": "aws", "login": ACCESS_KEY, "password": SECRET_KEY}
CREATE_V1 = "/v1/vector/collections/import"
CREATE_V2 = "/v2/vectordb/jobs/import/create"

#: The connection's extras, the kind of job and the files for each of the APIs.
APIS = {
    "v1": ({"cluster_id": CLUSTER_ID}, "cloud", {"object_urls": "s3://bucket/folder/1.parquet"}),
    "v2": (
        {"cluster_id": CLUSTER_ID, "api_version": "v2"},
        "cloud",
        {"object_urls": [["s3://bucket/1.parquet"], ["s3://bucket/2.parquet"]]},
    ),
    "milvus": ({"api_version": "v2"}, "milvus", {"files": [["a/1.npy", "a/2.npy"], ["b/1.npy", "b/2.npy"]]}),
}


@pytest.fixture(scope="module")
def running_sandbox():
    """A sandbox in which an import takes a few polls."""
    with Sandbox(import_duration=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def zilliz(running_sandbox, connect_to, clock, monkeypatch):
    running_sandbox.set_credentials("zilliz", api_key=API_KEY)
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps(STORAGE))
    connect_to("zilliz", extra=APIS["v2"][0])
    yield running_sandbox
    running_sandbox.reset()


@pytest.fixture(params=APIS)
def api(request, zilliz, connect_to):
    """Connect by each of the APIs, and return its name."""
    connect_to("zilliz", extra=APIS[request.param][0])
    return request.param


@pytest.fixture
def task(api, operator_task):
    """Return a function that creates a task whose operator imports files by each of the APIs."""

    def task(**arguments):
        return operator_task(ZillizImportOperator, **{"collection_name": "articles", **APIS[api][2], **arguments})

    task.kind = APIS[api][1]
    return task


@pytest.fixture
def task_v2(zilliz, operator_task):
    """Return a function that creates a task whose operator imports files by v2 of the cloud."""

    def task(**arguments):
        return operator_task(ZillizImportOperator, **{"collection_name": "articles", **APIS["v2"][2], **arguments})

    return task


def test_a_partition_stays_a_text_in_a_native_dag(zilliz):
    dag = DAG("native", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=True)
    with dag:
        operator = ZillizImportOperator(
            task_id="import", collection_name="articles", partition_name="{{ p }}", **APIS["v2"][2]
        )
    operator.render_template_fields({"p": "2024_01"})
    assert operator.partition_name == "2024_01"


def creates(sandbox):
    """Return the requests that start jobs."""
    posts = [request for request in sandbox.requests() if request["method"] == "POST"]
    return [request for request in posts if request["path"] in (CREATE_V1, CREATE_V2)]


@pytest.fixture
def lose_answer(zilliz, monkeypatch):
    """Return a function that spoils the answer to the next start, of a job that is created or not."""
    start, faults = ZillizHook.start_import_job, []

    def start_import_job(hook, *args, **kwargs):
        # Not before: in v1, the path of the start is the beginning of all others.
        if faults:
            zilliz.add_fault(**faults.pop())
        return start(hook, *args, **kwargs)

    monkeypatch.setattr(ZillizHook, "start_import_job", start_import_job)

    def lose_answer(*, processed, fault=None):
        faults.append({"fault": fault or {"reset": True}, "vendor": "zilliz", "processed": processed})

    return lose_answer


# The start


def test_a_job_is_started_and_waited_for(zilliz, task):
    progress = task().run()
    (job,) = zilliz.imports()
    assert (progress["state"], progress["import_id"]) == ("succeeded", job["import_id"])
    assert (job["kind"], progress["details"]["collection"]) == (task.kind, "articles")


def test_all_files_are_imported(task_v2):
    progress = task_v2().run()
    assert [file["name"] for file in progress["details"]["files"]] == ["s3://bucket/1.parquet", "s3://bucket/2.parquet"]


def test_without_waiting_the_result_is_the_job_that_a_sensor_takes(task, run_sensor):
    job_id = task(wait_for_completion=False).run()
    assert run_sensor(ZillizImportSensor, job_id=job_id)["import_id"] == job_id


def test_the_cluster_of_the_operator_is_polled_too(zilliz, task_v2, connect_to):
    connect_to("zilliz", extra={"api_version": "v2"})
    assert task_v2(cluster_id=CLUSTER_ID).run()["state"] == "succeeded"


def test_a_job_that_fails_fails_the_task(task_v2):
    with pytest.raises(ImportFailedError, match="unexpected file type"):
        task_v2(object_urls="s3://bucket/1.exe").run()


def test_the_gate_applies(zilliz, operator_task, connect_to):
    connect_to("zilliz", extra=APIS["milvus"][0])
    task = operator_task(ZillizImportOperator, collection_name="articles", files="a/1.json", min_records=10**9)
    with pytest.raises(ImportFailedError, match="min_records"):
        task.run()


def test_a_job_that_waits_for_a_commit_can_fail_the_task_and_is_then_waited_for(zilliz, operator_task, connect_to):
    connect_to("zilliz", extra=APIS["milvus"][0])
    task = operator_task(ZillizImportOperator, collection_name="articles", files="a/1.json", on_action_required="fail")
    zilliz.create_import("zilliz", "milvus", {"points": [[0, 99]]}, import_id="1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ZillizHook, "start_import_job", lambda *_, **__: ZillizImportJob("1"))
        for _ in range(2):
            with pytest.raises(ImportActionRequiredError, match="Commit it"):
                task.run()
    assert creates(zilliz) == []


# Arguments


@pytest.mark.parametrize(
    "object_urls",
    [
        [],
        "",
        "None",
        [[]],
        ["s3://bucket/1.parquet", ["s3://bucket/2.parquet"]],
        ["s3://bucket/1.parquet", None],
        [["s3://bucket/1.parquet", 2]],
        "['s3://bucket/1.parquet']",
        "folder/1.parquet",
        {"s3://bucket/1.parquet"},
    ],
)
def test_files_that_are_not_given_as_described_are_refused_before_anything_is_sent(zilliz, task_v2, object_urls):
    task = task_v2(object_urls=object_urls)
    with pytest.raises(ImportFileError, match=r"object_urls.*No import was started"):
        task.run()
    assert (zilliz.requests(), task.record) == ([], None)


@pytest.mark.parametrize("arguments", [{}, {"object_urls": "s3://bucket/1", "files": "a/1.json"}])
def test_either_object_urls_or_files_must_be_given(operator_task, arguments):
    with pytest.raises(ValueError, match="either object_urls"):
        operator_task(ZillizImportOperator, collection_name="articles", **arguments).run()


def test_credentials_of_a_storage_do_not_go_to_a_milvus(operator_task):
    with pytest.raises(ValueError, match="storage_conn_id is only for object_urls"):
        operator_task(
            ZillizImportOperator, collection_name="articles", files="a/1.json", storage_conn_id="storage"
        ).run()


def test_v1_imports_one_address_only(zilliz, task_v2, connect_to):
    connect_to("zilliz", extra=APIS["v1"][0])
    task = task_v2()
    with pytest.raises(ImportRequestError, match="imports one file or folder"):
        task.run()
    assert (zilliz.requests(), task.record) == ([], None)


def test_an_argument_that_is_none_is_refused(zilliz, task_v2):
    with pytest.raises(ValueError, match="partition_name is None"):
        task_v2(partition_name=None).run()
    assert zilliz.requests() == []


@pytest.mark.parametrize("name", ["collection_name", "storage_conn_id", "partition_name", "cluster_id", "db_name"])
def test_an_argument_that_rendered_to_nothing_is_refused(zilliz, task_v2, name):
    with pytest.raises(ValueError, match=f"{name} is 'None'"):
        task_v2(**{name: "None"}).run()
    assert zilliz.requests() == []


# The credentials of the object storage


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        (None, "Airflow does not find this connection"),
        ({"conn_type": "aws", "login": ACCESS_KEY}, "no password"),
        ({"conn_type": "aws", "password": SECRET_KEY}, "no login"),
    ],
)
def test_a_storage_connection_that_cannot_be_used_is_an_error_before_anything_is_sent(
    zilliz, task_v2, monkeypatch, connection, problem
):
    monkeypatch.delenv("AIRFLOW_CONN_STORAGE")
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps(connection))
    task = task_v2(storage_conn_id="storage")
    with pytest.raises(ImportRequestError, match=rf"Object storage \(connection 'storage'\).*{problem}"):
        task.run()
    assert (zilliz.requests(), task.record) == ([], None)


def test_the_credentials_of_the_storage_are_stored_and_logged_nowhere(zilliz, task_v2, monkeypatch, logged):
    storage = {**STORAGE, "extra": {"aws_session_token": TOKEN}}
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps(storage))
    task = task_v2(storage_conn_id="storage")
    result = task.run()
    everything = f"{result} {task.stored} {vars(task.operator)} {logged()}"
    for secret in (ACCESS_KEY, SECRET_KEY, TOKEN):
        assert secret not in everything


@pytest.mark.parametrize("code", [1100, 65535])
def test_credentials_that_the_vendor_repeats_are_redacted(zilliz, task_v2, code):
    message = f"denied: {ACCESS_KEY} {json.dumps(SECRET_KEY)} https://b.example/1?key={ACCESS_KEY}"
    zilliz.add_fault(
        {"body": json.dumps({"code": code, "message": message}), "content_type": "application/json"},
        path_contains=CREATE_V2,
    )
    with pytest.raises((ImportStartRefusedError, ImportStartUnknownError), match="denied") as caught:
        task_v2(storage_conn_id="storage").run()
    assert ACCESS_KEY not in str(caught.value)
    assert SECRET_KEY not in str(caught.value)


def a_failed_job(reason):
    """Return an answer about a job that failed, in the form of both versions."""
    files = [{"fileName": "1.parquet", "state": "Failed", "reason": reason, "errorMessage": reason}]
    return {"code": 0, "data": {"state": "Failed", "reason": reason, "errorMessage": reason, "details": files}}


A_RUNNING_JOB = {"code": 0, "data": {"state": "Importing", "readyPercentage": 0.5}}


@pytest.fixture
def answer_polls(zilliz):
    """Return a function that has the vendor answer polls, the last one with the last of these bodies."""

    def answer_polls(*bodies):
        for path in ("/describe", "/import/get"):
            for body in bodies:
                times = None if body is bodies[-1] else 1
                fault = {"body": json.dumps(body), "content_type": "application/json"}
                zilliz.add_fault(fault, vendor="zilliz", path_contains=path, times=times)

    return answer_polls


@pytest.mark.parametrize("api", ["v1", "v2"], indirect=True)
@pytest.mark.parametrize("answer", [a_failed_job, lambda reason: {"code": 9, "message": reason}])
def test_credentials_that_the_vendor_repeats_during_the_wait_are_redacted(task, answer_polls, logged, answer):
    answer_polls(A_RUNNING_JOB, answer(f"denied: {ACCESS_KEY}/{SECRET_KEY}: no such bucket"))
    one = task(storage_conn_id="storage")
    with pytest.raises(
        (ImportFailedError, ImportRequestError), match=r"denied: \*\*\*/\*\*\*: no such bucket"
    ) as caught:
        one.run()
    everything = f"{caught.value} {one.stored} {logged()}"
    assert ACCESS_KEY not in everything
    assert SECRET_KEY not in everything


@pytest.mark.parametrize("api", ["v1", "v2"], indirect=True)
def test_without_the_connection_of_the_storage_the_words_of_the_vendor_are_hidden(
    task, answer_polls, monkeypatch, logged
):
    answer_polls(A_RUNNING_JOB, a_failed_job(f"denied: {ACCESS_KEY}"))
    start = ZillizHook.start_import_job

    def start_and_lose_the_connection(*args, **kwargs):
        job = start(*args, **kwargs)
        monkeypatch.delenv("AIRFLOW_CONN_STORAGE")
        return job

    monkeypatch.setattr(ZillizHook, "start_import_job", start_and_lose_the_connection)
    one = task(storage_conn_id="storage")
    with pytest.raises(ImportFailedError, match="the storage's connection 'storage' could not be looked up") as caught:
        one.run()
    assert ACCESS_KEY not in f"{caught.value} {one.stored} {logged()}"


def test_without_the_connection_of_the_storage_a_job_still_succeeds(task, monkeypatch):
    start = ZillizHook.start_import_job

    def start_and_lose_the_connection(*args, **kwargs):
        job = start(*args, **kwargs)
        monkeypatch.delenv("AIRFLOW_CONN_STORAGE")
        return job

    monkeypatch.setattr(ZillizHook, "start_import_job", start_and_lose_the_connection)
    if task.kind == "milvus":
        pytest.skip("a Milvus receives no credentials")
    assert task(storage_conn_id="storage").run()["state"] == "succeeded"


async def test_a_poll_does_not_wait_long_for_the_connection_of_the_storage(monkeypatch):
    async def look_up_without_end(cache):
        await asyncio.sleep(60)

    monkeypatch.setattr(ConnectionCache, "aget", look_up_without_end)
    monkeypatch.setattr(zilliz_storage, "LEARN_TIMEOUT", 0.01)
    async with asyncio.timeout(10):
        await StorageConnections(ZillizHook()).alearn("storage")


def test_credentials_that_the_vendor_repeats_during_a_search_are_redacted(zilliz, task_v2, lose_answer, logged):
    lose_answer(processed=True)
    body = json.dumps({"code": 1, "message": f"denied: {ACCESS_KEY}"})
    zilliz.add_fault({"body": body, "content_type": "application/json"}, path_contains="/describe", times=2)
    one = task_v2(storage_conn_id="storage")
    assert one.run()["state"] == "succeeded"
    assert one.record["import_fields"]["storage_conn_id"] == "storage"
    assert "denied: ***" in (log := logged())
    assert ACCESS_KEY not in log


@pytest.mark.parametrize("key", ["AKIA" + "Z7" * 8, "ASIA" + "Z7" * 8, "GOOG1E" + "Z7" * 10, "LTAI" + "z7" * 10])
def test_what_looks_like_an_access_key_is_redacted_whoever_started_the_job(zilliz, get_by, answer_polls, key):
    answer_polls(a_failed_job(f"denied: {key}, key={key}"))
    assert get_by(ZillizHook(), ZillizImportJob("1")).message == "denied: ***, key=***"


def test_credentials_from_before_a_change_stay_redacted(zilliz, answer_polls, monkeypatch):
    monkeypatch.setattr(ConnectionCache, "_is_fresh", lambda *_: False)
    hook, job = ZillizHook(), ZillizStartedJob("1", storage_conn_id="storage")
    answer_polls(A_RUNNING_JOB, a_failed_job(f"denied: {ACCESS_KEY}, then new-access-key"))
    hook.get_progress(job)
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps({**STORAGE, "login": "new-access-key"}))
    assert hook.get_progress(job).message == "denied: ***, then ***"


# Refusals


def test_a_refusal_has_the_vendors_words_and_nothing_is_recorded(zilliz, task, lose_answer):
    lose_answer(
        processed=False,
        fault={"body": '{"code": 100, "message": "collection not found"}', "content_type": "application/json"},
    )
    one = task()
    with pytest.raises(ImportStartRefusedError, match=r"error 100: collection not found\..*No import was started"):
        one.run()
    assert one.record is None


def test_a_wrong_key_is_an_error_before_the_start(zilliz, task, connect_to, api):
    connect_to("zilliz", password="wrong", extra=APIS[api][0])
    with pytest.raises(ImportRequestError, match="did not accept the credentials"):
        task().run()
    assert creates(zilliz) == []


@pytest.mark.parametrize(
    "answer",
    [
        {"code": 1807, "message": "request is rejected by limiter"},
        {"code": 5, "message": "service internal error"},
        {"code": 65535, "message": "something"},
        {"code": 10001, "message": "context deadline exceeded"},
        {"code": 50000, "message": "Internal Server Error"},
        {"code": 50000, "message": "Request timed out"},
        {"code": 0, "data": {}},
        {"code": 0},
        {},
    ],
)
def test_an_error_that_does_not_exclude_a_start_is_never_followed_by_a_second_request(
    zilliz, task_v2, answer, lose_answer
):
    lose_answer(processed=False, fault={"body": json.dumps(answer), "content_type": "application/json"})
    task = task_v2()
    for _ in range(2):
        with pytest.raises(ImportStartUnknownError, match=r"unknown whether.*import jobs of the collection"):
            task.run()
    assert len(creates(zilliz)) == 1


# Lost answers


@pytest.mark.parametrize("fault", [{"reset": True}, {"status": 504}, {"body": "<html>"}])
def test_a_job_whose_answer_was_lost_is_found(zilliz, task, fault, lose_answer):
    zilliz.create_import("zilliz", task.kind)
    lose_answer(processed=True, fault=fault)
    progress = task().run()
    assert progress["state"] == "succeeded"
    assert progress["import_id"] == zilliz.imports()[-1]["import_id"]
    assert (len(creates(zilliz)), len(zilliz.imports())) == (1, 2)


def test_a_lost_start_that_created_no_job_is_reported_after_a_while(zilliz, task, clock, lose_answer):
    lose_answer(processed=False)
    one = task()
    with pytest.raises(ImportStartUnknownError, match="clear this task: it then starts the import"):
        one.run()
    assert operators_zilliz.MAX_START_SECONDS <= sum(clock.slept) < 2 * operators_zilliz.MAX_START_SECONDS
    with pytest.raises(ImportStartUnknownError):
        one.run()
    assert len(creates(zilliz)) == 1
    one.clear()
    assert one.run()["state"] == "succeeded"
    assert len(creates(zilliz)) == 2


@pytest.fixture
def create_late(clock, monkeypatch):
    """Return a function that creates the job of a lost start during the sleep of this number."""

    def create_late(number):
        sleep = clock.sleep

        def sleep_and_create(seconds):
            sleep(seconds)
            if len(clock.slept) == number:
                ZillizHook().start_import_job("articles", **APIS["v2"][2])

        monkeypatch.setattr(clock, "sleep", sleep_and_create)

    return create_late


def test_a_job_that_appears_late_is_found(zilliz, task_v2, lose_answer, create_late):
    lose_answer(processed=False)
    create_late(3)
    assert task_v2().run()["state"] == "succeeded"
    assert len(zilliz.imports()) == 1


def test_a_start_after_refused_connections_is_searched_for_as_long(zilliz, task_v2, monkeypatch, create_late):
    start = ZillizHook.start_import_job
    errors = [ImportPollError("refused", transient=True, not_sent=True)] * 5 + [ImportStartUnknownError("lost")]

    def start_or_fail(hook, *args, **kwargs):
        if errors:
            raise errors.pop(0)
        return start(hook, *args, **kwargs)

    monkeypatch.setattr(ZillizHook, "start_import_job", start_or_fail)
    create_late(6)
    assert task_v2().run()["state"] == "succeeded"
    assert len(zilliz.imports()) == 1


@pytest.mark.parametrize("is_cleared", [False, True])
def test_a_job_of_a_worker_that_died_is_found(zilliz, task, monkeypatch, is_cleared):
    one, start = task(), ZillizHook.start_import_job

    def start_and_die(*args, **kwargs):
        start(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ZillizHook, "start_import_job", start_and_die)
        with pytest.raises(Killed):
            one.run()
    if is_cleared:
        one.clear()
    assert one.run()["state"] == "succeeded"
    assert len(creates(zilliz)) == 1


def test_a_worker_that_died_before_the_request_leads_to_a_report(zilliz, task, monkeypatch):
    one = task()
    with monkeypatch.context() as patch:
        patch.setattr(ZillizHook, "start_import_job", die)
        with pytest.raises(Killed):
            one.run()
    with pytest.raises(ImportStartUnknownError, match="ended while it was sent"):
        one.run()
    assert creates(zilliz) == []


def test_a_job_with_the_same_files_from_before_is_not_taken_for_it(zilliz, task, lose_answer):
    one = task()
    old = one.run()["import_id"]
    one.clear()
    lose_answer(processed=False)
    with pytest.raises(ImportStartUnknownError):
        one.run()
    assert [job["import_id"] for job in zilliz.imports()] == [old]


@pytest.mark.parametrize(
    "other",
    [
        {"object_urls": [["s3://bucket/1.parquet"], ["s3://bucket/3.parquet"]]},
        {"object_urls": "s3://bucket/"},
        {"collection_name": "others"},
    ],
)
def test_a_new_job_of_somebody_else_is_not_taken_for_it(zilliz, task_v2, monkeypatch, other):
    task = task_v2()

    def start_other_and_die(hook, *_, **__):
        hook.request("POST", CREATE_V2, json=_order({"collection_name": "articles", **APIS["v2"][2], **other}))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ZillizHook, "start_import_job", start_other_and_die)
        with pytest.raises(Killed):
            task.run()
    with pytest.raises(ImportStartUnknownError):
        task.run()
    assert len(zilliz.imports()) == 1


def _order(arguments):
    urls = arguments["object_urls"]
    return {
        "clusterId": CLUSTER_ID,
        "collectionName": arguments["collection_name"],
        "objectUrls": [[urls]] if isinstance(urls, str) else urls,
    }


def test_of_two_new_jobs_with_the_files_none_is_taken(zilliz, task_v2, lose_answer):
    task = task_v2()
    lose_answer(processed=True)
    with pytest.MonkeyPatch.context() as patch:
        find = ZillizHook.find_import_job

        def create_another_and_find(hook, job, listed):
            if len(zilliz.imports()) < 2:
                hook.start_import_job("articles", **APIS["v2"][2])
            return find(hook, job, listed)

        patch.setattr(ZillizHook, "find_import_job", create_another_and_find)
        with pytest.raises(ImportStartUnknownError):
            task.run()


def test_with_a_partition_a_lost_answer_is_reported_because_no_job_names_it(zilliz, task_v2, logged, lose_answer):
    lose_answer(processed=True)
    with pytest.raises(ImportStartUnknownError):
        task_v2(partition_name="p1").run()
    (job,) = zilliz.imports()
    assert f"The new job '{job['import_id']}' names the files, but no job names its partition" in logged()


def test_a_start_with_other_files_is_not_searched_for(zilliz, task_v2, monkeypatch, logged):
    task = task_v2()
    with monkeypatch.context() as patch:
        patch.setattr(ZillizHook, "start_import_job", die)
        with pytest.raises(Killed):
            task.run()
    task.arguments["object_urls"] = "s3://bucket/9.parquet"
    ZillizHook().start_import_job("articles", object_urls="s3://bucket/9.parquet")
    with pytest.raises(ImportStartUnknownError):
        task.run()
    assert "have changed since the start" in logged()


def test_a_search_that_fails_is_repeated_by_the_next_try(zilliz, task_v2, lose_answer):
    lose_answer(processed=True)
    task = task_v2(max_consecutive_failures=1)
    zilliz.add_fault({"status": 503}, path_contains="/describe")
    with pytest.raises(ImportPollError, match="unknown whether the import was started"):
        task.run()
    assert task.run()["state"] == "succeeded"
    assert len(creates(zilliz)) == 1


def test_the_list_is_read_to_its_last_page(zilliz, task_v2, lose_answer):
    for _ in range(25):
        zilliz.create_import("zilliz", "cloud")
    lose_answer(processed=True)
    ids = [job["import_id"] for job in zilliz.imports()]
    assert task_v2(collection_name="sandbox").run()["import_id"] not in ids
    assert len(zilliz.imports()) == 26


def test_with_too_many_jobs_a_lost_answer_is_reported(zilliz, task_v2, monkeypatch, logged, lose_answer):
    monkeypatch.setattr("airflow_import_progress.hooks.zilliz_list.MAX_LISTED_JOBS", 3)
    for _ in range(4):
        zilliz.create_import("zilliz", "cloud")
    lose_answer(processed=True)
    with pytest.raises(ImportStartUnknownError):
        task_v2(collection_name="sandbox").run()
    assert "too many import jobs to search" in logged()


# Waits of later tries


def test_a_worker_that_dies_while_waiting_leads_to_a_wait_for_the_same_job(zilliz, task, monkeypatch):
    one = task()
    with monkeypatch.context() as patch:
        patch.setattr(ZillizHook, "get_progress", die)
        with pytest.raises(Killed):
            one.run()
    assert one.run()["state"] == "succeeded"
    assert len(creates(zilliz)) == 1


def test_a_retry_waits_for_its_job_and_lists_no_jobs(zilliz, task, monkeypatch):
    one = task()
    with monkeypatch.context() as patch:
        patch.setattr(ZillizHook, "get_progress", die)
        with pytest.raises(Killed):
            one.run()
    lists = [request for request in zilliz.requests() if request["path"].endswith("/list")]
    zilliz.add_fault({"status": 503}, vendor="zilliz", path_contains="/list", times=None)
    assert one.run()["state"] == "succeeded"
    assert [request for request in zilliz.requests() if request["path"].endswith("/list")] == lists


def test_a_clear_after_the_end_starts_another_job(zilliz, task):
    one = task()
    first = one.run()
    assert one.run()["import_id"] == first["import_id"]
    one.clear()
    assert one.run()["import_id"] != first["import_id"]
    assert len(creates(zilliz)) == 2


def test_a_clear_while_the_job_runs_waits_for_it(zilliz, task_v2, monkeypatch, logged):
    with Sandbox(import_duration=10_000) as slow:
        slow.set_credentials("zilliz", api_key=API_KEY)
        connection = {**slow.airflow_connection("zilliz"), "extra": APIS["v2"][0]}
        monkeypatch.setenv("AIRFLOW_CONN_ZILLIZ_DEFAULT", json.dumps(connection))
        task = task_v2(timeout=60)
        with pytest.raises(AirflowSensorTimeout):
            task.run()
        task.arguments["object_urls"] = "s3://bucket/3.parquet"
        task.clear()
        with pytest.raises(AirflowSensorTimeout):
            task.run()
        assert len(slow.imports()) == 1
    assert "The content to import has changed since the start" in logged()


def test_the_record_has_the_earlier_jobs_and_no_secret(zilliz, task_v2):
    earlier = ZillizHook().start_import_job("articles", **APIS["v2"][2]).job_id
    task = task_v2(storage_conn_id="storage")
    task.run()
    assert task.record["notes"] == {"job_ids": [earlier]}
    assert API_KEY not in task.stored


# The hook


@pytest.mark.parametrize("is_async", [False, True])
def test_the_hook_starts_a_job(zilliz, api, is_async):
    hook, arguments = ZillizHook(), {"collection_name": "articles", **APIS[api][2]}
    job = asyncio.run(hook.astart_import_job(**arguments)) if is_async else hook.start_import_job(**arguments)
    assert isinstance(job, ZillizImportJob)
    assert [job.job_id] == [started["import_id"] for started in zilliz.imports()]


@pytest.mark.parametrize("is_async", [False, True])
def test_the_hook_reports_a_missing_storage_connection_as_not_sent(zilliz, is_async):
    hook = ZillizHook()
    arguments = {"collection_name": "a", "object_urls": "s3://b/1.json", "storage_conn_id": "missing"}
    with pytest.raises(ImportRequestError, match=r"'missing'.*does not find") as caught:
        asyncio.run(hook.astart_import_job(**arguments)) if is_async else hook.start_import_job(**arguments)
    assert caught.value.not_sent
    assert zilliz.requests() == []


def test_the_job_has_the_place_of_the_start(zilliz):
    job = ZillizHook().start_import_job(
        "articles", object_urls="s3://b/1.json", cluster_id=CLUSTER_ID, db_name="default"
    )
    assert (job.cluster_id, job.db_name) == (CLUSTER_ID, "default")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("case", zilliz_requests.CREATE_REQUESTS)
def test_the_hook_sends_the_same_start_as_zillizs_own_client(connect_to, monkeypatch, case, is_async):
    arguments, has_storage, _ = zilliz_requests.CREATE_REQUESTS[case]
    keys = zilliz_requests.STORAGE
    storage = {"conn_type": "aws", "login": keys["access_key"], "password": keys["secret_key"]}
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps({**storage, "extra": {"aws_session_token": keys["token"]}}))
    arguments = {**arguments, "storage_conn_id": "storage" if has_storage else None}
    with zilliz_requests.recording() as (port, requests):
        connect_to("zilliz", port=port, password=zilliz_requests.API_KEY, extra={"api_version": "v2"})
        hook = ZillizHook()
        job = asyncio.run(hook.astart_import_job(**arguments)) if is_async else hook.start_import_job(**arguments)
    assert job.job_id == "1"
    assert requests == [zilliz_requests.expected(case)]
