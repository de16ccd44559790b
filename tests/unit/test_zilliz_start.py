# SPDX-License-Identifier: Apache-2.0
"""The requests that start and search for jobs, and what their answers mean, without sending anything."""

from __future__ import annotations

import json

import pytest

from airflow_import_progress.exceptions import (
    ImportFileError,
    ImportPollError,
    ImportProtocolError,
    ImportRequestError,
)
from airflow_import_progress.hooks.zilliz_place import JobPlace
from airflow_import_progress.hooks.zilliz_search import (
    MAX_LISTED_JOBS,
    MAX_NEW_JOBS,
    ListedJobs,
    SearchState,
    find_job,
    list_jobs,
)
from airflow_import_progress.hooks.zilliz_start import NewJob, start_job
from airflow_import_progress.hooks.zilliz_storage import StorageCredentials
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Response

V1 = VendorConnection(
    conn_id="zilliz_default",
    base_url="https://controller.api.gcp-us-west1.zillizcloud.com",
    password="key",
    extra={"cluster_id": "in01"},
)
V2 = VendorConnection(
    conn_id="zilliz_default", base_url="https://api.cloud.zilliz.com", password="key", extra={"cluster_id": "in01"}
)
MILVUS = VendorConnection(conn_id="zilliz_default", base_url="http://milvus.example:19530", extra={"api_version": "v2"})
STORAGE = StorageCredentials("the-access-key", "the-secret-key")
SHORT_TERM = StorageCredentials("the-access-key", "the-secret-key", "the-token")
URL = "s3://bucket/folder/1.parquet"


def a_job(**arguments):
    files = {} if "files" in arguments else {"object_urls": URL}
    return NewJob(**{"collection_name": "articles", **files, **arguments})


def response(answer, status=200):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Response(status=status, headers={}, body=body, request_line="POST it")


def talk(conversation, *answers):
    """Run a conversation with these answers, and return its result and its requests."""
    requests = [next(conversation)]
    for answer in answers:
        try:
            requests.append(conversation.send(answer if isinstance(answer, Response) else response(answer)))
        except StopIteration as end:
            return end.value, requests
    raise AssertionError(f"{requests[-1]} has no answer")


def body_of(request):
    return json.loads(request.data.open().read(10**6))


# The start


def test_v1_receives_one_address_and_the_credentials():
    request = a_job(partition_name="p").request(STORAGE, V1)
    assert (request.method, request.path) == ("POST", "/v1/vector/collections/import")
    assert body_of(request) == {
        "clusterId": "in01",
        "collectionName": "articles",
        "partitionName": "p",
        "objectUrl": URL,
        "accessKey": "the-access-key",
        "secretKey": "the-secret-key",
    }


def test_v2_receives_lists_of_addresses_the_credentials_and_their_token():
    request = a_job(object_urls=[URL, "s3://bucket/2/"]).request(SHORT_TERM, V2)
    assert (request.method, request.path) == ("POST", "/v2/vectordb/jobs/import/create")
    assert body_of(request) == {
        "clusterId": "in01",
        "collectionName": "articles",
        "objectUrls": [[URL], ["s3://bucket/2/"]],
        "accessKey": "the-access-key",
        "secretKey": "the-secret-key",
        "token": "the-token",
    }


def test_an_argument_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match=r"^unknown arguments of an import job: dbname, partition$"):
        NewJob.of("articles", object_urls="s3://bucket/1.parquet", partition="p", dbname="db")


def test_milvus_receives_lists_of_files():
    job = a_job(files=[["a/1.npy", "a/2.npy"], ["b.json"]], place=JobPlace(db_name="db"))
    request = job.request(None, MILVUS)
    assert body_of(request) == {
        "collectionName": "articles",
        "dbName": "db",
        "files": [["a/1.npy", "a/2.npy"], ["b.json"]],
    }
    assert request.headers == {"DB-Name": "db"}


def test_a_project_takes_the_place_of_a_cluster():
    body = body_of(a_job(place=JobPlace(project_id="proj", region_id="aws-us-west-2")).request(None, V2))
    assert (body["projectId"], body["regionId"], "clusterId" in body) == ("proj", "aws-us-west-2", False)


@pytest.mark.parametrize(
    ("arguments", "storage", "connection", "problem"),
    [
        ({"object_urls": [URL, URL]}, None, V1, "imports one file or folder"),
        ({"object_urls": [[URL, URL]]}, None, V1, "imports one file or folder"),
        ({"files": "a.json"}, None, V1, "given as object_urls"),
        ({}, SHORT_TERM, V1, "token of short-term credentials"),
        ({"files": "a.json"}, None, V2, "needs object_urls"),
        ({"files": "a.json"}, STORAGE, MILVUS, "only for object_urls"),
        ({"place": JobPlace(project_id="p", region_id="r")}, None, V1, "does not support project_id"),
    ],
)
def test_what_the_connection_does_not_support_is_refused_before_anything_is_sent(
    arguments, storage, connection, problem
):
    with pytest.raises(ImportRequestError, match=problem):
        next(start_job(a_job(**arguments), storage, connection))


def test_neither_the_job_nor_the_request_nor_the_credentials_show_a_secret():
    shown = f"{SHORT_TERM!r} {a_job(object_urls='https://user:secret@host/1?sig=secret')} "
    shown += repr(a_job().request(SHORT_TERM, V2))
    assert not any(secret in shown for secret in ("the-access-key", "the-secret-key", "the-token", "sig", "user"))


@pytest.mark.parametrize(
    ("code", "data"), [(200, {"jobId": "job-1"}), (0, {"jobId": "job-1"}), ("0", {"jobId": "job-1"})]
)
@pytest.mark.parametrize("connection", [V1, V2, MILVUS])
def test_both_success_codes_have_a_job(connection, code, data):
    job = a_job(files="a.json") if connection is MILVUS else a_job()
    assert talk(start_job(job, None, connection), {"code": code, "data": data})[0] == "job-1"


def test_a_job_id_may_be_in_a_list_and_be_a_number():
    assert talk(start_job(a_job(), None, V2), {"code": 0, "data": [{"jobId": 449839014328146739}]})[0] == (
        "449839014328146739"
    )


@pytest.mark.parametrize("data", [None, [], {}, {"jobId": ""}, {"jobId": None}, [{"jobId": "1"}, {"jobId": "2"}], "1"])
def test_a_success_without_a_job_is_not_a_job(data):
    with pytest.raises(ImportProtocolError):
        talk(start_job(a_job(), None, V2), {"code": 0, "data": data})


@pytest.mark.parametrize("code", [100, 1100, 2100, 1802])
def test_any_other_code_is_a_refusal(code):
    with pytest.raises(ImportRequestError, match=rf"error {code}: no such field\."):
        talk(start_job(a_job(), None, V2), {"code": code, "message": "no such field"})


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, {"code": 1807, "message": "limiter"}),
        (429, {"code": 1807, "message": "limiter"}),
        (429, {}),
        (200, {"code": 5, "message": "x"}),
        (200, {"code": 65535, "message": "x"}),
        (200, {"code": 1, "message": "x"}),
        (200, {"code": 10000, "message": "x"}),
        (200, {"code": 90000, "message": "internal error"}),
        (200, {"code": 90000, "message": "time out"}),
        (200, {"code": 2100, "message": "rpc error: code = Unavailable desc = x"}),
        (500, {"code": 1100, "message": "x"}),
        (503, {"code": 0, "data": {"jobId": "1"}}),
        (504, b""),
    ],
)
def test_after_an_error_that_may_pass_it_is_unknown_whether_the_job_was_started(status, answer):
    with pytest.raises(ImportPollError):
        talk(start_job(a_job(), None, V2), response(answer, status))


@pytest.mark.parametrize("answer", [{"code": 1800, "message": "x"}, {"code": 21119, "message": "x"}])
def test_a_refused_key_has_the_advice_of_an_http_401(answer):
    with pytest.raises(ImportRequestError) as caught:
        talk(start_job(a_job(), None, V2), answer)
    assert caught.value.status == 401


def test_a_permission_that_is_missing_is_a_refusal_whatever_the_code():
    with pytest.raises(ImportRequestError) as caught:
        talk(start_job(a_job(), None, MILVUS), response({"code": 65535, "message": "permission deny"}, 403))
    assert caught.value.status == 403


# The files


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        ("s3://b/1", (("s3://b/1",),)),
        (["s3://b/1", "s3://b/2"], (("s3://b/1",), ("s3://b/2",))),
        ((["s3://b/1", "s3://b/2"],), (("s3://b/1", "s3://b/2"),)),
    ],
)
def test_files_may_be_one_a_list_or_a_list_of_lists(given, groups):
    assert a_job(object_urls=given).groups == groups


@pytest.mark.parametrize("path", ["", " ", "None", "null", "a\nb", "{{ x }}", "[a.json]", "('a.json',)", " a.json"])
def test_a_path_that_cannot_be_one_is_refused(path):
    with pytest.raises(ImportFileError, match="No import was started"):
        a_job(files=["b.json", path])


def test_a_refused_address_is_shown_without_what_may_be_credentials():
    with pytest.raises(ImportFileError) as caught:
        a_job(object_urls="user:secret@host/1?sig=secret")
    assert "secret" not in str(caught.value)


def test_the_digest_depends_on_the_files_and_the_targets_but_not_on_credentials():
    def digest(connection=V2, **arguments):
        return a_job(**arguments).digest(connection)

    same = {
        digest(),
        digest(object_urls=[[URL]]),
        digest(place=JobPlace(cluster_id="in01")),
        digest(object_urls=f"{URL}?sig=1"),
    }
    others = {
        digest(object_urls=[URL, URL]),
        digest(object_urls="s3://other/folder/1.parquet"),
        digest(collection_name="others"),
        digest(partition_name="p"),
        digest(place=JobPlace(cluster_id="in02")),
        digest(place=JobPlace(db_name="db")),
        digest(MILVUS),
    }
    assert (len(same), len(others), len(same & others)) == (1, 7, 0)


# The list


def record(job_id, collection="articles"):
    return {"jobId": job_id, "collectionName": collection, "state": "Completed"}


def page(*records, count, key="records", **data):
    return {"code": 0, "data": {key: list(records), "count": count, "currentPage": 1, "pageSize": 10, **data}}


def test_v1_lists_the_jobs_of_the_cluster_and_those_of_other_collections_are_left_out():
    answer = {"code": 200, "data": {"tasks": [record("1"), record("2", "others")], "count": 2, "pageSize": 10}}
    listed, (request,) = talk(list_jobs(a_job(), V1), answer)
    assert listed.job_ids == ["1"]
    assert request.params == {"clusterId": "in01", "pageSize": "10", "currentPage": "1"}


def test_v2_lists_the_jobs_of_the_collection():
    listed, (request,) = talk(list_jobs(a_job(), V2), page(record("1"), count=1))
    assert (listed.job_ids, listed.digest) == (["1"], a_job().digest(V2))
    assert request.json == {"clusterId": "in01", "collectionName": "articles", "pageSize": 10, "currentPage": 1}


@pytest.mark.parametrize("pages_count", [25, None])
def test_all_pages_are_read_whatever_count_means(pages_count):
    records = [record(str(number)) for number in range(25)]
    pages = [records[:10], records[10:20], records[20:]]
    answers = [page(*shown, count=pages_count or len(shown)) for shown in pages]
    listed, requests = talk(list_jobs(a_job(), V2), *answers)
    assert len(listed.job_ids) == 25
    assert [request.json["currentPage"] for request in requests] == [1, 2, 3]


def test_a_last_page_that_is_full_is_followed_by_an_empty_one():
    records = [record(str(number)) for number in range(10)]
    listed, requests = talk(list_jobs(a_job(), V2), page(*records, count=10), page(count=10))
    assert (len(listed.job_ids), len(requests)) == (10, 2)


def test_a_milvus_that_lists_all_at_once_is_read_completely():
    answer = {"code": 0, "data": {"records": [record(str(number)) for number in range(30)]}}
    listed, requests = talk(list_jobs(a_job(files="a"), MILVUS), answer, answer)
    assert (len(listed.job_ids), len(requests)) == (30, 2)


@pytest.mark.parametrize("data", [{"records": []}, {"records": None, "count": 0}, {"tasks": None, "count": "0"}])
def test_there_may_be_no_jobs(data):
    assert talk(list_jobs(a_job(), V2), {"code": 0, "data": data})[0].job_ids == []


def test_a_list_that_changes_while_it_is_read_is_read_again_later():
    records = [record(str(number)) for number in range(24)]
    with pytest.raises(ImportPollError, match="changed while it was read"):
        talk(
            list_jobs(a_job(), V2),
            page(*records[:10], count=25),
            page(*records[10:20], count=24),
            page(*records[20:23], count=24),
            page(count=24),
        )


@pytest.mark.parametrize("data", [{}, {"records": {}}, {"records": ["1"]}, {"records": [{}]}])
def test_a_list_that_is_not_one_is_an_error(data):
    with pytest.raises(ImportProtocolError):
        talk(list_jobs(a_job(), V2), {"code": 0, "data": data})


def test_more_jobs_than_the_limit_are_not_listed():
    records = [record(str(number)) for number in range(10)]
    listed, requests = talk(list_jobs(a_job(), V2), page(*records, count=MAX_LISTED_JOBS + 1))
    assert (listed.job_ids, len(requests)) == (None, 1)


# The search


def v2_job(*names, state="Importing", collection="articles", **data):
    details = [{"fileName": name, "state": state} for name in names]
    return {"code": 0, "data": {"collectionName": collection, "state": state, "details": details, **data}}


def search(job, *jobs, connection=V2, known=("old",)):
    """Search among new jobs with these answers."""
    listed = ListedJobs(digest=job.digest(connection), job_ids=list(known))
    records = [record(job_id) for job_id in (*known, *map(str, range(len(jobs))))]
    answer = {"code": 0, "data": {"records": records, "pageSize": 100}}
    return talk(find_job(job, listed, connection), answer, *jobs)[0]


@pytest.mark.parametrize(
    ("connection", "files", "name"),
    [
        (V2, {"object_urls": URL}, URL),
        (V2, {"object_urls": URL}, "folder/1.parquet"),
        (V2, {"object_urls": URL}, "/folder/1.parquet"),
        (V2, {"object_urls": URL}, "bucket/folder/1.parquet"),
        (V2, {"object_urls": "s3://bucket/folder/"}, "folder/"),
        (V2, {"object_urls": "s3://bucket/folder"}, "folder/"),
        (V2, {"object_urls": "https://s3.us-west-2.amazonaws.com/bucket/folder/1.json"}, "folder/1.json"),
        (V2, {"object_urls": "https://bucket.s3.us-west-2.amazonaws.com/folder/1.json"}, "folder/1.json"),
        (V2, {"object_urls": "https://x.blob.core.windows.net/box/folder/1.json?sig=1"}, "folder/1.json"),
        (MILVUS, {"files": "a/1.parquet"}, "[a/1.parquet]"),
        (MILVUS, {"files": [["a/1.npy", "a/2.npy"]]}, "[a/1.npy a/2.npy]"),
        (MILVUS, {"files": "/a/1.parquet"}, 'id:1 paths:"/a/1.parquet" '),
        (MILVUS, {"files": [["a/1.npy", "a/2.npy"]]}, 'id:1 paths:"a/1.npy" paths:"a/2.npy" '),
    ],
)
def test_a_job_is_recognized_by_the_names_that_the_vendors_give_to_files(connection, files, name):
    found = search(a_job(**files), v2_job(name), connection=connection)
    assert (found.state, found.job_id) == (SearchState.FOUND, "0")


def test_a_job_of_v1_is_recognized_by_its_only_file():
    answer = {"code": 200, "data": {"readyPercentage": 0, "fileName": "folder/1.parquet", "details": []}}
    assert search(a_job(), answer, connection=V1).state is SearchState.FOUND


@pytest.mark.parametrize(
    "name", ["other/1.parquet", "folder/2.parquet", "xfolder/1.parquet", "s3://other/folder/1.parquet", "folder/1", "1"]
)
def test_a_job_with_another_file_is_another_job(name):
    assert search(a_job(), v2_job(name)).state is SearchState.ABSENT


def test_a_job_of_another_collection_is_another_job():
    assert search(a_job(), v2_job(URL, collection="others")).state is SearchState.ABSENT


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        # Only the last part of a path, which may be that of a file in another folder.
        ([URL], ["1.parquet"]),
        ([URL], ["[1.parquet]"]),
        (["https://bucket.s3.amazonaws.com/x/folder/1.json"], ["folder/1.json"]),
        # One file of a folder.
        (["s3://bucket/folder/"], ["folder/1.parquet"]),
        # Not all files.
        ([URL, "s3://bucket/2.parquet"], [URL]),
        # None at all.
        ([URL], []),
    ],
)
def test_a_job_that_has_ended_and_does_not_name_all_files_is_not_taken(urls, names):
    found = search(a_job(object_urls=urls), v2_job(*names, state="Completed"))
    assert found.state is SearchState.UNKNOWN


@pytest.mark.parametrize("names", [[], ["2.parquet"]])
def test_a_job_that_does_not_name_all_files_yet_is_requested_again_later(names):
    job = a_job(object_urls=[URL, "s3://bucket/2.parquet"])
    assert search(job, v2_job(*names, state="Pending")).state is SearchState.PENDING


def test_a_job_beside_another_that_may_be_it_is_not_taken():
    ended_without_names = v2_job(state="Failed", reason="x")
    assert search(a_job(), v2_job(URL), v2_job(URL)).state is SearchState.UNKNOWN
    assert search(a_job(), v2_job(URL), ended_without_names).state is SearchState.UNKNOWN
    assert search(a_job(), v2_job(URL), v2_job(state="Pending")).state is SearchState.PENDING
    assert search(a_job(), v2_job(URL), v2_job("x/9.parquet")).state is SearchState.FOUND


@pytest.mark.parametrize(
    "answer",
    [
        {"code": 2100, "message": "import job does not exist"},
        {"code": 1100, "message": "x"},
        {"code": 0, "data": {"state": "Importing", "details": "x"}},
        {"code": 0, "data": {}},
    ],
)
def test_a_new_job_that_cannot_be_read_may_be_the_one(answer):
    assert search(a_job(), answer).state is SearchState.UNKNOWN
    assert search(a_job(), answer, v2_job(URL)).state is SearchState.UNKNOWN


def test_an_outage_during_the_search_is_no_result():
    with pytest.raises(ImportPollError):
        search(a_job(), response({}, 503))


def test_too_many_new_jobs_are_not_compared():
    job = a_job()
    listed = ListedJobs(digest=job.digest(V2), job_ids=[])
    records = [record(str(number)) for number in range(MAX_NEW_JOBS + 1)]
    found, _ = talk(find_job(job, listed, V2), {"code": 0, "data": {"records": records, "pageSize": 100}})
    assert found.state is SearchState.UNKNOWN


def test_without_the_jobs_from_before_nothing_is_searched_for():
    job = a_job()
    found, _ = talk(find_job(job, ListedJobs(digest=job.digest(V2), job_ids=None), V2), page(count=0))
    assert found.state is SearchState.UNKNOWN
