# SPDX-License-Identifier: Apache-2.0
"""What Zilliz's and Milvus's answers mean, and what is asked, told without sending anything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_import_progress.exceptions import (
    ImportActionRequiredError,
    ImportPollError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Response
from airflow_import_progress.progress import ImportState
from airflow_import_progress.sensors.zilliz import ZillizImportSensor
from airflow_import_progress.waiting.gate import Decision, Gate
from airflow_import_progress.waiting.wait import import_failed_error

JOB_ID = "job-01fa0e5d42cjxudhpuehyp"
CLUSTER_ID = "in01-1234567890abcde"
CLOUD_V1 = VendorConnection(
    conn_id="zilliz_default", base_url="https://controller.api.gcp-us-west1.zillizcloud.com", password="key"
)
CLOUD_V2 = VendorConnection(conn_id="zilliz_default", base_url="https://api.cloud.zilliz.com", password="key")
MILVUS = VendorConnection(
    conn_id="zilliz_default",
    base_url="http://milvus.example:19530",
    login="root",
    password="Milvus",
    extra={"api_version": "v2"},
)


def ask(connection, **arguments):
    """Return the one request of a poll."""
    return next(ZillizImportJob(**{"job_id": JOB_ID, **arguments}).poll(connection))


def poll(connection, answer, job_id=JOB_ID, **response):
    """Return the progress that a poll makes of this body."""
    cluster_id = CLUSTER_ID if connection is not MILVUS else None
    conversation = ZillizImportJob(job_id, cluster_id=cluster_id).poll(connection)
    next(conversation)
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    with pytest.raises(StopIteration) as end:
        conversation.send(
            Response(**{"status": 200, "headers": {}, "body": body, "request_line": "GET it", **response})
        )
    return end.value.value


def v1(**data):
    """Return an answer of v1 about a job that has just started, with these fields changed."""
    file = {"fileName": "folder/1.parquet", "fileSize": 26571700, "readyPercentage": 0, "completeTime": None}
    started = {**file, "errorMessage": None, "collectionName": "medium_articles", "jobId": JOB_ID, "details": [file]}
    return {"code": 200, "data": {**started, **data}}


def v2(**data):
    """Return an answer of v2 about a job that runs, with these fields changed."""
    running = {
        "jobId": JOB_ID,
        "collectionName": "medium_articles",
        "fileName": "medium_articles_2020_dpr.json",
        "fileSize": 3279917,
        "state": "Importing",
        "progress": 62,
        "completeTime": "",
        "reason": "",
        "totalRows": 100000,
        "details": [],
    }
    return {"code": 0, "data": {**running, **data}}


# v1: readyPercentage


@pytest.mark.parametrize(
    ("ready", "state", "percent"),
    [
        (0, ImportState.RUNNING, 0.0),
        (0.01, ImportState.RUNNING, 1.0),
        (0.5, ImportState.RUNNING, 50.0),
        (0.999999, ImportState.RUNNING, 99.9999),
        (1, ImportState.SUCCEEDED, 100.0),
        (1.0, ImportState.SUCCEEDED, 100.0),
        ("0.5", ImportState.RUNNING, 50.0),
    ],
)
def test_ready_percentage_is_a_fraction(ready, state, percent):
    progress = poll(CLOUD_V1, v1(readyPercentage=ready, completeTime="2023-10-28T06:51:49Z" if ready == 1 else None))
    assert (progress.state, progress.warning) == (state, None)
    assert progress.percent == pytest.approx(percent, abs=1e-9)
    assert progress.vendor_status == float(ready)


@pytest.mark.parametrize(
    ("ready", "state"),
    [(1.01, ImportState.RUNNING), (50, ImportState.RUNNING), (99.9, ImportState.RUNNING), (100, ImportState.SUCCEEDED)],
)
def test_ready_percentage_above_1_is_on_the_scale_to_100(ready, state):
    progress = poll(CLOUD_V1, v1(readyPercentage=ready))
    assert (progress.state, progress.percent) == (state, ready)


def test_done_without_a_time_counts_as_done_and_says_so():
    progress = poll(CLOUD_V1, v1(readyPercentage=1, completeTime=None))
    assert progress.state is ImportState.SUCCEEDED
    assert progress.warning == ("readyPercentage is 1, but completeTime is empty. The job counts as done.")


def test_a_time_of_completion_alone_is_no_success_and_says_so():
    progress = poll(CLOUD_V1, v1(readyPercentage=0.5, completeTime="2023-10-28T06:51:49Z"))
    assert progress.state is ImportState.RUNNING
    assert progress.warning.startswith("completeTime is set, but readyPercentage is not 1 and errorMessage is empty.")
    assert "check the job" in progress.warning


@pytest.mark.parametrize("ready", [None, True, "done", "", -0.1, 100.1, [1], {}])
def test_an_odd_ready_percentage_is_a_protocol_error(ready):
    with pytest.raises(ImportProtocolError, match='"readyPercentage" from 0 to 1') as caught:
        poll(CLOUD_V1, v1(readyPercentage=ready))
    assert not caught.value.transient


def test_a_missing_ready_percentage_is_a_protocol_error():
    with pytest.raises(ImportProtocolError, match="readyPercentage"):
        poll(CLOUD_V1, {"code": 200, "data": {"jobId": JOB_ID, "completeTime": "2023-10-28T06:51:49Z"}})


def test_the_state_of_v2_says_nothing_in_v1():
    with pytest.raises(ImportProtocolError, match="readyPercentage"):
        poll(CLOUD_V1, v2(state="Completed", progress=100))


# v1: errorMessage


@pytest.mark.parametrize(
    ("ready", "percent"), [(0, 0.0), (0.4, 40.0), (1, 100.0), (None, None), ("odd", None), (150, None), (-1, None)]
)
def test_an_error_message_beats_ready_percentage(ready, percent):
    progress = poll(CLOUD_V1, v1(readyPercentage=ready, errorMessage="the schema does not match"))
    assert (progress.state, progress.message) == (ImportState.FAILED, "the schema does not match")
    assert progress.percent == percent


def test_an_error_of_one_file_fails_the_job():
    files = [{"fileName": "1.parquet", "errorMessage": None}, {"fileName": "2.parquet", "errorMessage": "not found"}]
    progress = poll(CLOUD_V1, v1(readyPercentage=1, details=files))
    assert (progress.state, progress.message) == (ImportState.FAILED, "2.parquet: not found")
    assert progress.details["files"][0] == {"name": "2.parquet", "error": "not found"}


@pytest.mark.parametrize("message", [{"code": 5}, ["broken"], 7, True])
def test_an_error_that_is_no_text_is_an_error(message):
    progress = poll(CLOUD_V1, v1(readyPercentage=1, errorMessage=message))
    assert (progress.state, progress.message) == (ImportState.FAILED, str(message))


@pytest.mark.parametrize("message", [" ", "\x00\n"])
def test_an_error_without_words_is_an_error(message):
    file = {"fileName": "2.parquet", "errorMessage": message}
    assert poll(CLOUD_V1, v1(readyPercentage=1, errorMessage=message)).message == "no reason given"
    assert poll(CLOUD_V1, v1(readyPercentage=1, details=[file])).message == "2.parquet: no reason given"
    assert poll(CLOUD_V1, v1(readyPercentage=1, details=[{"errorMessage": message}])).message.startswith("a file: ")


@pytest.mark.parametrize("message", [None, ""])
def test_an_empty_error_message_is_none(message):
    answer = v1(readyPercentage=1, errorMessage=message, details=[{"fileName": "1", "errorMessage": message}])
    assert poll(CLOUD_V1, answer).state is ImportState.SUCCEEDED


@pytest.mark.parametrize("details", [{"errorMessage": "broken"}, "broken", ["broken"], 1])
@pytest.mark.parametrize("answer", [v1(readyPercentage=1), v2(state="Completed")], ids=["v1", "v2"])
def test_an_error_cannot_hide_in_details_that_are_no_files(answer, details):
    with pytest.raises(ImportProtocolError, match="a list of files"):
        poll(CLOUD_V1 if answer["code"] else CLOUD_V2, {**answer, "data": {**answer["data"], "details": details}})


@pytest.mark.parametrize("details", [None, []])
def test_a_job_without_files_tells_its_progress(details):
    assert poll(CLOUD_V1, v1(readyPercentage=1, details=details)).state is ImportState.SUCCEEDED


# v2 and Milvus: the state


@pytest.mark.parametrize("connection", [CLOUD_V2, MILVUS], ids=["cloud", "milvus"])
@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Pending", ImportState.PENDING),
        ("Importing", ImportState.RUNNING),
        ("InProgress", ImportState.RUNNING),
        ("Uncommitted", ImportState.ACTION_REQUIRED),
        ("Committing", ImportState.RUNNING),
        ("Completed", ImportState.SUCCEEDED),
        ("Failed", ImportState.FAILED),
    ],
)
def test_the_state_decides(connection, status, state):
    progress = poll(connection, v2(state=status))
    assert (progress.state, progress.vendor_status, progress.percent, progress.warning) == (state, status, 62.0, None)


@pytest.mark.parametrize("status", ["Pending", "Importing", "Committing"])
def test_a_progress_of_100_alone_is_no_success(status):
    assert Gate().judge(poll(CLOUD_V2, v2(state=status, progress=100))).decision is Decision.WAIT


@pytest.mark.parametrize(("progress", "percent"), [(None, None), ("62", 62.0), (101, None), (-1, None), ("?", None)])
def test_an_odd_progress_does_not_hide_the_state(progress, percent):
    told = poll(CLOUD_V2, v2(progress=progress))
    assert (told.state, told.percent) == (ImportState.RUNNING, percent)


def test_a_failed_job_that_reports_progress_0_has_failed():
    answer = v2(state="Failed", progress=0, importedRows=0, totalRows=0, reason="file not found")
    progress = poll(MILVUS, answer)
    assert (progress.state, progress.percent, progress.message) == (ImportState.FAILED, 0.0, "file not found")


def test_a_failed_job_with_a_failed_file_has_failed():
    file = {"fileName": "2.parquet", "state": "Failed", "reason": "file not found"}
    progress = poll(MILVUS, v2(state="Failed", progress=0, details=[file]))
    assert (progress.state, progress.message) == (ImportState.FAILED, "2.parquet: file not found")
    assert progress.details["files"] == [{"name": "2.parquet", "state": "Failed", "error": "file not found"}]


def test_the_reason_of_a_failed_job_is_told_before_that_of_a_file():
    answer = v2(state="Failed", reason="out of quota", details=[{"fileName": "2.parquet", "reason": "file not found"}])
    assert poll(MILVUS, answer).message == "out of quota"


def test_a_state_that_is_no_word_is_told_in_part_and_in_one_line():
    progress = poll(CLOUD_V2, v2(state="odd\n" * 1000))
    assert len(progress.vendor_status) == 50
    assert "\n" not in progress.vendor_status + progress.warning
    assert len(progress.warning) < 250


@pytest.mark.parametrize("status", ["Paused", "completed", "ImportCompleted", "Done"])
def test_a_state_that_nobody_knows_keeps_waiting_with_a_warning(status):
    progress = poll(CLOUD_V2, v2(state=status, progress=100))
    assert progress.state is ImportState.RUNNING
    assert f"reports the state '{status}'" in progress.warning


def test_a_state_that_nobody_knows_at_the_end_is_a_protocol_error():
    with pytest.raises(ImportProtocolError, match="a known state, because completeTime is set"):
        poll(CLOUD_V2, v2(state="Archived", completeTime="2024-04-01T06:17:55Z"))


@pytest.mark.parametrize("status", [None, "", 5, True, ["Completed"]])
def test_an_odd_state_is_a_protocol_error(status):
    with pytest.raises(ImportProtocolError, match='a "state"'):
        poll(CLOUD_V2, v2(state=status, progress=100))


def test_a_completed_job_with_a_failed_file_is_a_protocol_error():
    files = [{"fileName": "1.parquet", "state": "Completed"}, {"fileName": "2.parquet", "state": "Failed"}]
    with pytest.raises(ImportProtocolError, match="without a failed file"):
        poll(CLOUD_V2, v2(state="Completed", progress=100, details=files))


def test_ready_percentage_says_nothing_in_v2():
    with pytest.raises(ImportProtocolError, match='a "state"'):
        poll(CLOUD_V2, v1(readyPercentage=1))


def test_a_job_that_waits_for_its_commit_fails_if_told_to_and_says_what_to_do():
    progress = poll(CLOUD_V2, v2(state="Uncommitted", progress=99))
    assert Gate().judge(progress).decision is Decision.WAIT
    verdict = Gate(on_action_required="fail").judge(progress)
    error = import_failed_error(ZillizImportJob(JOB_ID), "It", verdict)
    assert isinstance(error, ImportActionRequiredError)
    assert "Commit it with POST /v2/vectordb/jobs/import/commit" in str(error)


# What a job tells beside its state


def test_milvus_tells_rows_times_and_files():
    file = {
        "fileName": 'id:1 paths:"/a/1.parquet" ',
        "fileSize": 31567874,
        "progress": 62,
        "completeTime": "",
        "state": "InProgress",
        "importedRows": 60000,
        "totalRows": 100000,
    }
    answer = v2(createTime="2024-04-01T06:10:00Z", importedRows=60000, details=[file])
    progress = poll(MILVUS, answer)
    assert (progress.total, progress.processed, progress.failed) == (100000, 60000, None)
    assert progress.started_at.isoformat() == "2024-04-01T06:10:00+00:00"
    assert progress.finished_at is None
    assert progress.details == {
        "collection": "medium_articles",
        "file_count": 1,
        "files": [
            {
                "name": 'id:1 paths:"/a/1.parquet"',
                "state": "InProgress",
                "imported_rows": 60000,
                "total_rows": 100000,
            }
        ],
    }


@pytest.mark.parametrize("rows", [None, -1, 0.5, "many", True, [], 10**400])
def test_rows_that_cannot_be_read_are_unknown_and_no_zero(rows):
    file = {"fileName": "1.parquet", "importedRows": rows, "totalRows": rows}
    progress = poll(MILVUS, v2(totalRows=rows, importedRows=rows, details=[file]))
    assert (progress.total, progress.processed) == (None, None)
    assert progress.details["files"] == [{"name": "1.parquet"}]


def test_the_cloud_tells_the_rows_of_a_completed_job_and_its_time():
    progress = poll(CLOUD_V2, v2(state="Completed", progress=100, completeTime="2024-04-01T06:17:55Z"))
    assert (progress.total, progress.processed) == (100000, None)
    assert progress.finished_at.isoformat() == "2024-04-01T06:17:55+00:00"


def test_a_collection_of_any_name_stays_short_in_what_travels():
    assert len(poll(CLOUD_V2, v2(collectionName="x\n" * 100_000)).details["collection"]) == 200


def test_only_some_files_travel_along_those_with_an_error_first():
    files = [
        {"fileName": f"{n}.parquet", "state": "Pending", "reason": "x" * 5000 if n > 997 else ""} for n in range(1000)
    ]
    progress = poll(CLOUD_V2, v2(details=files))
    assert progress.details["file_count"] == 1000
    assert [file["name"] for file in progress.details["files"]] == [
        "998.parquet",
        "999.parquet",
        "0.parquet",
        "1.parquet",
        "2.parquet",
    ]
    assert len(json.dumps(progress.to_dict())) < 2000


def test_the_signature_of_a_files_address_does_not_travel():
    address = "https://bucket.example/1.parquet?X-Amz-Signature=5ecret"
    answer = v1(errorMessage=f"cannot read '{address}'", details=[{"fileName": address, "errorMessage": None}])
    progress = poll(CLOUD_V1, answer)
    assert progress.message == "cannot read 'https://bucket.example/1.parquet'"
    assert progress.details["files"] == [{"name": "https://bucket.example/1.parquet"}]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("answer", [v1(fileName="https://b.example/1?sig=5ecret", readyPercentage="?"), {"code": 7}])
def test_the_signature_of_a_files_address_is_in_no_error(answer, status):
    answer = {**answer, "message": "cannot read https://b.example/1?sig=5ecret"}
    with pytest.raises((ImportProtocolError, ImportRequestError), match=r"https://b\.example/1") as caught:
        poll(CLOUD_V1, answer, status=status)
    assert "5ecret" not in str(caught.value)


@pytest.mark.parametrize("connection", [CLOUD_V1, CLOUD_V2], ids=["v1", "v2"])
def test_an_answer_about_another_job_is_a_protocol_error(connection):
    answer = v1(readyPercentage=1) if connection is CLOUD_V1 else v2(state="Completed")
    with pytest.raises(ImportProtocolError, match="the job 'job-02', not another one"):
        poll(connection, answer, job_id="job-02")


def test_a_job_id_may_be_a_number_in_the_answer():
    answer = v2(state="Completed", jobId=449839014328146739)
    assert poll(MILVUS, answer, job_id="449839014328146739").state is ImportState.SUCCEEDED


# The envelope


@pytest.mark.parametrize("code", [0, 200, "0", "200", 200.0])
def test_both_success_codes_count_in_both_versions(code):
    assert poll(CLOUD_V1, {**v1(readyPercentage=1), "code": code}).state is ImportState.SUCCEEDED
    assert poll(CLOUD_V2, {**v2(state="Completed"), "code": code}).state is ImportState.SUCCEEDED


@pytest.mark.parametrize("code", [1, 1802, 90011, 201, "500"])
def test_http_200_is_no_success_under_another_code(code):
    with pytest.raises((ImportRequestError, ImportPollError)):
        poll(CLOUD_V1, {**v1(readyPercentage=1), "code": code})


@pytest.mark.parametrize("code", [1, 2, 4, 8, 12, 429, 1807, 10001, "1807"])
@pytest.mark.parametrize("status", [200, 400, 429])
def test_a_limiter_and_what_milvus_calls_retriable_may_pass(code, status):
    answer = {"code": code, "message": "request is rejected by limiter"}
    with pytest.raises(ImportPollError, match="limiter") as caught:
        poll(CLOUD_V2, answer, status=status, headers={"retry-after": "7"})
    assert (caught.value.transient, caught.value.retry_after) == (True, 7.0)


@pytest.mark.parametrize(
    "words",
    [
        "rpc error: code = Unavailable desc = connection error: dial tcp 10.0.0.7:13333: connect: connection refused",
        "context deadline exceeded",
        "find no available datacoord, check datacoord state",
        "service not ready[datacoord=2]: Initializing",
        "stack trace: " + "x" * 400 + ": empty grpc client",
    ],
)
def test_an_error_without_a_code_may_pass_where_its_words_say_that_a_coordinator_is_away(words):
    with pytest.raises(ImportPollError, match="returned error 65535") as caught:
        poll(MILVUS, {"code": 65535, "message": words})
    assert caught.value.transient


def test_any_other_error_without_a_code_is_final():
    with pytest.raises(ImportRequestError, match="field vector is missing"):
        poll(MILVUS, {"code": 65535, "message": "field vector is missing"})


def test_a_milvus_without_authentication_needs_no_password():
    open_milvus = replace(MILVUS, login="", password="")
    ZillizHook().validate_connection(open_milvus)
    request = next(ZillizHook().send_authenticated(ask(open_milvus, cluster_id=None), open_milvus))
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    "connection",
    [
        replace(CLOUD_V1, password=""),
        replace(CLOUD_V2, password=""),
        replace(MILVUS, password="", base_url="https://in01-1.api.gcp-us-west1.zillizcloud.com"),
        replace(MILVUS, login="root", password=""),
    ],
)
def test_zilliz_cloud_and_a_milvus_user_need_a_password(connection):
    with pytest.raises(ImportRequestError, match="has no password"):
        ZillizHook().validate_connection(connection)


@pytest.mark.parametrize("code", [4, 8, 429, 1807])
@pytest.mark.parametrize("status", [200, 400, 408, 429, 500, 503])
def test_a_limiter_is_not_an_outage_whatever_the_status(code, status):
    with pytest.raises(ImportPollError) as caught:
        poll(CLOUD_V2, {"code": code, "message": "request is rejected by limiter"}, status=status)
    assert caught.value.rate_limited


def test_http_429_may_pass():
    with pytest.raises(ImportPollError) as caught:
        poll(CLOUD_V1, b"slow down", status=429)
    assert caught.value.transient


@pytest.mark.parametrize("code", [1800, 80002, 21119, 1400, "21119"])
@pytest.mark.parametrize("status", [200, 401, 403])
def test_what_is_not_authorised_counts_as_http_401_whatever_the_status(code, status):
    with pytest.raises(ImportRequestError, match="The apikey is illegal") as caught:
        poll(CLOUD_V2, {"code": code, "message": "The apikey is illegal."}, status=status)
    assert (caught.value.transient, caught.value.status) == (False, 401)


@pytest.mark.parametrize("code", [1800, 80002, 2100, 5, None])
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_fails_may_recover_whatever_the_code(code, status):
    with pytest.raises(ImportPollError, match=f"HTTP {status}.*upstream") as caught:
        poll(CLOUD_V2, {"code": code, "message": "upstream is gone"}, status=status)
    assert caught.value.transient


@pytest.mark.parametrize("code", [2100, 2101])
def test_an_unknown_job_is_fatal_and_says_what_to_check(code):
    answer = {"code": code, "message": "import job does not exist, jobID=42: importing data failed"}
    with pytest.raises(ImportRequestError, match=r"jobID=42.*no such job: check job_id.*Milvus forgets") as caught:
        poll(MILVUS, answer)
    assert not caught.value.transient


def test_a_code_that_nobody_knows_is_fatal_and_told():
    with pytest.raises(ImportRequestError, match=r"returned error 90011: no such thing\. Check job_id") as caught:
        poll(CLOUD_V1, {"code": 90011, "message": "no such thing."})
    assert not caught.value.transient


@pytest.mark.parametrize("code", [None, True, "ok", -1, [200]])
def test_an_odd_code_is_a_protocol_error(code):
    with pytest.raises(ImportProtocolError, match='an object with a "code"'):
        poll(CLOUD_V1, {**v1(readyPercentage=1), "code": code})


@pytest.mark.parametrize("answer", [[], [v1(readyPercentage=1)], 200, "done", None, {}, v1(readyPercentage=1)["data"]])
def test_an_answer_without_the_envelope_is_a_protocol_error(answer):
    with pytest.raises(ImportProtocolError, match='an object with a "code"') as caught:
        poll(CLOUD_V1, answer)
    assert not caught.value.transient


@pytest.mark.parametrize("data", [None, [], [v2()["data"]], "done", 1])
def test_an_envelope_without_data_is_a_protocol_error(data):
    with pytest.raises(ImportProtocolError, match='the object "data"'):
        poll(CLOUD_V2, {"code": 0, "data": data})


def test_what_is_not_json_is_a_protocol_error_that_may_pass():
    with pytest.raises(ImportProtocolError) as caught:
        poll(CLOUD_V1, b"<html>maintenance</html>")
    assert caught.value.transient


# What is asked


def test_v1_is_asked_at_its_documented_address():
    request = ask(CLOUD_V1, cluster_id=CLUSTER_ID)
    assert (request.method, request.path) == ("GET", "/v1/vector/collections/import/get")
    assert request.params == {"jobId": JOB_ID, "clusterId": CLUSTER_ID}


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"cluster_id": CLUSTER_ID}, {"clusterId": CLUSTER_ID}),
        ({"project_id": "proj-1", "region_id": "aws-us-west-2"}, {"projectId": "proj-1", "regionId": "aws-us-west-2"}),
    ],
)
def test_v2_is_asked_with_where_the_job_is(arguments, where):
    request = ask(CLOUD_V2, **arguments)
    assert (request.method, request.path) == ("POST", "/v2/vectordb/jobs/import/describe")
    assert request.json == {"jobId": JOB_ID, **where}


def test_milvus_is_asked_with_the_job_alone():
    request = ask(MILVUS)
    assert (request.path, request.json) == ("/v2/vectordb/jobs/import/describe", {"jobId": JOB_ID})


def test_the_database_is_named_as_milvus_and_as_the_cloud_read_it():
    request = ask(MILVUS, db_name="books")
    assert request.json == {"jobId": JOB_ID, "dbName": "books"}
    assert request.headers == {"DB-Name": "books"}


@pytest.mark.parametrize(
    ("connection", "asked_for"),
    [(CLOUD_V1, lambda request: request.params), (CLOUD_V2, lambda request: request.json)],
    ids=["v1", "v2"],
)
def test_the_cluster_may_come_from_the_connection(connection, asked_for):
    configured = VendorConnection(
        conn_id="zilliz_default", base_url=connection.base_url, extra={"cluster_id": "in01-configured"}
    )
    assert asked_for(ask(configured))["clusterId"] == "in01-configured"
    assert asked_for(ask(configured, cluster_id=CLUSTER_ID))["clusterId"] == CLUSTER_ID


def test_a_job_in_a_project_is_not_sought_in_the_connections_cluster():
    configured = VendorConnection(
        conn_id="zilliz_default", base_url=CLOUD_V2.base_url, extra={"cluster_id": "in01-configured"}
    )
    assert "clusterId" not in ask(configured, project_id="proj-1", region_id="aws-us-west-2").json


def test_v1_without_a_cluster_is_refused_before_anything_is_sent():
    with pytest.raises(ImportRequestError, match=r"needs the cluster of a job.*For a Milvus.*'api_version' to 'v2'"):
        ask(CLOUD_V1)


def test_the_control_plane_without_a_cluster_or_a_project_is_refused_before_anything_is_sent():
    with pytest.raises(ImportRequestError, match="needs the cluster or the project of a job"):
        ask(CLOUD_V2)


def test_v1_does_not_support_projects():
    with pytest.raises(ImportRequestError, match="does not support project_id"):
        ask(CLOUD_V1, project_id="proj-1", region_id="aws-us-west-2")


@pytest.mark.parametrize(
    ("connection", "cluster_id", "path", "params", "body"),
    [
        (CLOUD_V1, None, "/v1/clusters", {}, None),
        (CLOUD_V2, None, "/v2/clusters", {}, None),
        (MILVUS, None, "/v2/vectordb/jobs/import/describe", {}, {"jobId": "0"}),
        (
            CLOUD_V1,
            CLUSTER_ID,
            "/v1/vector/collections/import/list",
            {"clusterId": CLUSTER_ID, "pageSize": "10", "currentPage": "1"},
            None,
        ),
        (
            CLOUD_V2,
            CLUSTER_ID,
            "/v2/vectordb/jobs/import/list",
            {},
            {"clusterId": CLUSTER_ID, "pageSize": 10, "currentPage": 1},
        ),
    ],
)
def test_the_connection_test_asks_what_the_connection_can_answer(connection, cluster_id, path, params, body):
    configured = replace(connection, extra={**connection.extra, "cluster_id": cluster_id})
    request = next(ZillizHook().probe(configured))
    assert request.method == ("POST" if body is not None else "GET")
    assert (request.path, request.params, request.json) == (path, params, body)


# The import


@pytest.mark.parametrize("job_id", [None, "", "None"])
def test_an_import_without_identifier_cannot_be_made(job_id):
    with pytest.raises(ValueError, match="job_id"):
        ZillizImportJob(job_id)


@pytest.mark.parametrize("name", ["cluster_id", "project_id", "region_id", "db_name"])
@pytest.mark.parametrize("value", ["", "None", "a\nb", ["x"]])
def test_what_is_given_must_be_an_identifier(name, value):
    with pytest.raises(ValueError, match=name):
        ZillizImportJob(JOB_ID, **{name: value})


@pytest.mark.parametrize("arguments", [{"project_id": "proj-1"}, {"region_id": "aws-us-west-2"}])
def test_a_project_and_its_region_belong_together(arguments):
    with pytest.raises(ValueError, match="project_id and region_id belong together"):
        ZillizImportJob(JOB_ID, **arguments)


def test_a_job_is_in_a_cluster_or_in_a_project():
    with pytest.raises(ValueError, match="exclude each other"):
        ZillizImportJob(JOB_ID, cluster_id=CLUSTER_ID, project_id="proj-1", region_id="aws-us-west-2")


def test_a_database_name_must_fit_into_a_header():
    with pytest.raises(ValueError, match="db_name must be ASCII"):
        ZillizImportJob(JOB_ID, db_name="bücher")


def test_an_import_is_made_again_from_what_a_trigger_stores():
    import_ = ZillizImportJob(JOB_ID, project_id="proj-1", region_id="aws-us-west-2", db_name="books")
    assert ZillizImportJob(**json.loads(json.dumps(import_.to_dict()))) == import_


# The sensor


def test_a_contradiction_is_refused_while_the_dag_is_parsed():
    with pytest.raises(ValueError, match="belong together"):
        ZillizImportSensor(task_id="wait", job_id=JOB_ID, project_id="proj-1")


@pytest.mark.parametrize(
    ("rows", "imported"),
    [
        ({"totalRows": 100, "importedRows": 60}, 60),
        ({"totalRows": 100, "importedRows": 100}, 100),
        # Whether these are the rows of the job or those of the collection is not documented.
        ({"totalRows": 100}, None),
        ({"totalRows": 100, "importedRows": 0}, 0),
        ({}, None),
    ],
)
def test_a_completed_job_has_imported_the_imported_rows_that_it_reports(rows, imported):
    progress = poll(MILVUS, v2(state="Completed", progress=100, **{"totalRows": None, "importedRows": None, **rows}))
    assert progress.imported == imported
    assert (Gate(min_records=100).judge(progress).decision is Decision.PASS) == (imported == 100)


def test_a_completed_job_with_fewer_imported_rows_than_it_has_is_warned_of():
    progress = poll(MILVUS, v2(state="Completed", progress=100, totalRows=1000, importedRows=600))
    assert progress.state is ImportState.SUCCEEDED
    assert "600 imported of 1,000 rows" in progress.warning
    assert "min_records" in progress.warning


def test_the_rows_of_a_job_under_way_are_not_taken_for_imported():
    assert poll(MILVUS, v2(state="Importing", progress=50, totalRows=1000, importedRows=None)).imported is None


def test_version_1_reports_no_rows_and_fails_min_records_closed():
    progress = poll(CLOUD_V1, v1(readyPercentage=1, completeTime="2023-10-28T06:51:49Z"))
    assert Gate(min_records=1).judge(progress).decision is Decision.FAIL


def test_a_cluster_that_an_upstream_did_not_return_is_not_taken_for_left_out():
    sensor = ZillizImportSensor(task_id="wait", job_id=JOB_ID, cluster_id="{{ ti.xcom_pull('start') }}")
    sensor.cluster_id = None
    with pytest.raises(ValueError, match="cluster_id is None"):
        sensor.get_import()


def test_every_argument_of_the_import_and_the_connection_are_templated():
    names = {"job_id", "cluster_id", "project_id", "region_id", "db_name", "zilliz_conn_id"}
    assert set(ZillizImportSensor.template_fields) == names


# The connection


@pytest.fixture
def read(monkeypatch):
    """Return a function that reads a connection with these fields through the hook."""

    def read(**fields):
        monkeypatch.setenv(
            "AIRFLOW_CONN_ZILLIZ_TEST", json.dumps({"conn_type": "zilliz", "password": "s3cret", **fields})
        )
        with ZillizHook("zilliz_test")._translating_errors("Zilliz"):
            return ZillizHook("zilliz_test").connection_cache.get()

    return read


REGION = {"cloud_region": "gcp-us-west1"}
CONTROLLER = "https://controller.api.gcp-us-west1.zillizcloud.com"
CONTROL_PLANE = "https://api.cloud.zilliz.com"


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"extra": REGION}, CONTROLLER),
        ({"extra": {"cloud_region": " GCP-us-west1 ", "api_version": "v1"}}, CONTROLLER),
        ({"extra": {"api_version": "v2"}}, CONTROL_PLANE),
        ({"extra": {**REGION, "api_version": "v2"}}, CONTROL_PLANE),
        ({"host": "api.cloud.zilliz.com"}, CONTROL_PLANE),
        (
            {"host": "10.0.0.7", "port": 19530, "schema": "http", "extra": {"api_version": "v2"}},
            "http://10.0.0.7:19530",
        ),
        ({"host": "zilliz.example", "extra": REGION}, "https://zilliz.example"),
        ({"host": " ", "extra": REGION}, CONTROLLER),
    ],
)
def test_the_address_is_the_host_or_what_the_extras_lead_to(read, fields, base_url):
    assert read(**fields).base_url == base_url


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"host": "controller.api.gcp-us-west1.zillizcloud.com"}, "/v1/"),
        ({"host": "api.cloud.zilliz.com"}, "/v2/"),
        ({"host": "api.cloud.zilliz.com.cn"}, "/v2/"),
        ({"host": "milvus.example", "extra": {"api_version": "v2"}}, "/v2/"),
        ({"extra": {"api_version": "v2", "cloud_region": "", "cluster_id": None}}, "/v2/"),
        ({"extra": {**REGION, "api_version": ""}}, "/v1/"),
    ],
)
def test_the_version_is_the_connections_or_what_its_host_implies(read, fields, path):
    assert ask(read(**fields), cluster_id=CLUSTER_ID).path.startswith(path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "neither a host nor the extra 'cloud_region'"),
        ({"extra": {"cloud_region": "gcp-us-west1.evil.example/"}}, "must be a region such as"),
        ({"extra": {"cloud_region": "evil@example"}}, "must be a region such as"),
        ({"extra": {"cloud_region": "a-" * 40 + "a"}}, "must be a region such as"),
        ({"extra": {"cloud_region": "ali-cn-hangzhou"}}, "Chinese region 'ali-cn-hangzhou'"),
        ({"extra": {"cloud_region": "ali-cn-hangzhou", "api_version": "v2"}}, "api.cloud.zilliz.com.cn for v2"),
        ({"extra": {**REGION, "api_version": "v3"}}, "'api_version' must be 'v1' or 'v2', not 'v3'"),
        ({"extra": {**REGION, "api_version": ["v2"]}}, "'api_version' must be"),
        ({"host": "api.cloud.zilliz.com", "extra": {"api_version": "v1"}}, "supports only v2"),
        ({"extra": {**REGION, "cluster_id": "a\nb"}}, "'cluster_id' is not a cluster id"),
        ({"extra": REGION, "password": ""}, "no password"),
        ({"extra": REGION, "password": "s3crét"}, "characters that cannot be sent"),
        ({"extra": REGION, "password": "s3cr\net"}, "characters that cannot be sent"),
        ({"extra": REGION, "login": "rööt"}, "characters that cannot be sent"),
    ],
)
def test_a_connection_that_cannot_work_is_refused_before_anything_is_sent(read, fields, words):
    with pytest.raises(ImportRequestError, match=words) as caught:
        read(**fields)
    assert not caught.value.transient
    assert "s3cr" not in str(caught.value)
