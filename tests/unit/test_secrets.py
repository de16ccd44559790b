# SPDX-License-Identifier: Apache-2.0
"""Secrets that a vendor repeats are taken out of its texts, and out of nothing else."""

from __future__ import annotations

import json

import pytest

from airflow_import_progress.exceptions import ImportProgressError
from airflow_import_progress.hooks.leadsy import LeadsyHook, LeadsyImport
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaUserLocationImport
from airflow_import_progress.hooks.rocketchat import RocketChatHook, RocketChatImport
from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizImportJob
from airflow_import_progress.http.connection import VendorConnection
from airflow_import_progress.http.exchange import Response

SECRET = "hunter2-hunter2"
V2 = {"api_version": "v2"}

#: Good answers of each vendor, with every text that it may hold.
LEADS = {
    "import_file": {
        "import_code": "1",
        "status": 2,
        "status_name": "completed",
        "total_records": 5,
        "processed_records": 5,
        "failed_records": 0,
        "error_file": "https://files.example/errors.csv",
        "started_at": "2026-02-17T21:54:09Z",
        "finished_at": "2026-02-17T21:58:00Z",
        "success_rate": 100,
    }
}
JOB = {
    "code": 0,
    "message": "text",
    "data": {
        "jobId": "1",
        "collectionName": "collection",
        "state": "Failed",
        "progress": 0,
        "reason": "text",
        "completeTime": "",
        "details": [{"fileName": "file", "state": "Failed", "reason": "text", "completeTime": ""}],
    },
}
JOB_OF_V1 = {
    "code": 200,
    "data": {
        "jobId": "1",
        "collectionName": "collection",
        "readyPercentage": 0.5,
        "errorMessage": "text",
        "completeTime": "",
        "details": [{"fileName": "file", "errorMessage": "text"}],
    },
}
CHAT = {
    "success": True,
    "state": "importing",
    "operation": {
        "_id": "1",
        "ts": "2026-02-17T21:54:09Z",
        "importerKey": "csv",
        "status": "importer_importing_users",
        "valid": True,
        "count": {"completed": 1, "error": 0, "total": 2},
    },
}
LOCATIONS = {
    "userLocationsCreatedSummary": {"count": 1},
    "userLocationsDeletedSummary": {"count": 0},
    "globalErrorSummary": "text",
    "errorLines": [{"lineNumber": 3, "error": "text"}],
    "errorFileUri": "https://files.example/errors.csv",
}

VENDORS = {
    "leadsy": (LeadsyHook, LeadsyImport("1"), {}, [LEADS]),
    "zilliz v2": (ZillizHook, ZillizImportJob("1"), V2, [JOB]),
    "zilliz v1": (ZillizHook, ZillizImportJob("1", cluster_id="c"), {}, [JOB_OF_V1]),
    "rocketchat": (RocketChatHook, RocketChatImport(operation_id="1"), {}, [CHAT]),
    "lucca": (LuccaHook, LuccaUserLocationImport("1", check_results=True), {}, [{"progress": 100}, LOCATIONS]),
}
#: Names that a vendor gives: they keep what they are, also where it happens to be a secret.
NAMES = {"collectionName", "fileName", "importerKey", "_id"}


def with_secret(answer, path=()):
    """Return copies of an answer in each of which one text holds the secret, with the name of the text."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            for changed, of in with_secret(value, (*path, name)):
                yield {**answer, name: changed}, of
    elif isinstance(answer, list):
        for index, value in enumerate(answer):
            for changed, of in with_secret(value, path):
                yield [*answer[:index], changed, *answer[index + 1 :]], of
    elif path:
        yield (
            f"https://x.example/{SECRET}?{SECRET}" if "ile" in path[-1] and "Name" not in path[-1] else SECRET,
            path[-1],
        )


CASES = [
    pytest.param(vendor, [*answers[:-1], changed], 200, id=f"{vendor}-{name}")
    for vendor, (_, _, _, answers) in VENDORS.items()
    for changed, name in with_secret(answers[-1])
    if name not in NAMES
]
CASES += [
    pytest.param(vendor, [body], status, id=f"{vendor}-{status}-{number}")
    for vendor in VENDORS
    for status in (200, 302, 400, 401, 403, 404, 429, 500)
    for number, body in enumerate(
        [SECRET, {"message": SECRET}, {"error": SECRET}, {"code": 9, "message": SECRET}, [SECRET], {SECRET: 1}]
    )
]


def poll(vendor, answers, status=200, secret=SECRET):
    """Return the whole progress as text, or the error."""
    hook_class, import_, extra, _ = VENDORS[vendor]
    connection = VendorConnection(
        conn_id="here", base_url="https://vendor.example", login="user", password=secret, extra=extra
    )
    hook, answers = hook_class(), list(answers)
    hook._connection, hook._looked_up_at = connection, float("inf")
    try:
        with hook._translating_errors(import_.describe("here")):
            conversation = hook._with_authentication(import_.poll(connection), connection)
            next(conversation)
            while True:
                conversation.send(
                    Response(
                        status=status,
                        headers={"location": f"https://{secret}.example/{secret}"},
                        body=json.dumps(answers.pop(0) if answers else {}).encode(),
                        request_line="GET https://vendor.example/",
                        secrets=connection.secrets,
                    )
                )
    except StopIteration as end:
        return json.dumps(end.value.to_dict()) + str(end.value)
    except ImportProgressError as error:
        return str(error)


@pytest.mark.parametrize(("vendor", "answers", "status"), CASES)
def test_a_secret_that_the_vendor_repeats_is_nowhere(vendor, answers, status):
    assert SECRET not in poll(vendor, answers, status)


@pytest.mark.parametrize(("vendor", "names"), [("zilliz v2", ("Milvus_docs", "Milvus.parquet"))])
@pytest.mark.parametrize("secret", ["Milvus", "e"])
def test_names_keep_what_a_password_happens_to_be(vendor, names, secret):
    collection, file = names
    data = {**JOB["data"], "state": "Completed", "progress": 100, "reason": "", "collectionName": collection}
    data["details"] = [{"fileName": file, "state": "Completed"}]
    progress = json.loads(poll(vendor, [{**JOB, "data": data}], secret=secret).partition("}[")[0].rstrip("[") + "}")
    assert progress["vendor_status"] == "Completed"
    assert (progress["details"]["collection"], progress["details"]["files"][0]["name"]) == (collection, file)


@pytest.mark.parametrize("secret", ["completed", "importer", "Failed", "processing"])
def test_states_and_our_own_words_keep_what_a_password_happens_to_be(secret):
    assert '"vendor_status": "completed"' in poll("leadsy", [LEADS], secret=secret)
    assert '"vendor_status": "importer_importing_users"' in poll("rocketchat", [CHAT], secret=secret)
    assert '"vendor_status": "Failed"' in poll("zilliz v2", [JOB], secret=secret)


def test_the_address_of_an_error_file_has_neither_query_nor_credentials():
    results = {**LOCATIONS, "errorFileUri": "https://u:p@files.example/errors.csv?sig=opens-it#part"}
    assert "https://files.example/errors.csv" in (told := poll("lucca", [{"progress": 100}, results]))
    assert "opens-it" not in told
    assert "u:p@" not in told
