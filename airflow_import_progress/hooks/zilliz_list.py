# SPDX-License-Identifier: Apache-2.0
"""The list of import jobs of Zilliz Cloud and Milvus."""

from __future__ import annotations

from typing import Any

from airflow_import_progress.hooks.zilliz_answers import read_data, unexpected
from airflow_import_progress.hooks.zilliz_place import (
    MAX_JOB_BYTES,
    V1_IMPORT_PATH,
    V2_IMPORT_PATH,
    JobPlace,
    api_version,
)
from airflow_import_progress.vendor import Conversation, Request, Response, VendorConnection, as_count, checked_id

#: Jobs on a page of the list, as in the examples of the reference. Its maximum is not documented.
PAGE_SIZE = 10
#: If a cluster, or with v2 a collection, has more jobs, they are not listed.
MAX_LISTED_JOBS = 1000


def list_records(
    place: JobPlace, collection_name: str | None, connection: VendorConnection
) -> Conversation[dict[str, dict[str, Any]] | None]:
    """
    List the jobs of a place, and return their records by job id, or None if there are more than MAX_LISTED_JOBS.

    :param place: The place.
    :param collection_name: The collection, by which v1 cannot select. None: all collections.
    :param connection: The connection.
    :raises ImportPollError: if the list changed while it was read.
    """
    records: dict[str, dict[str, Any]] = {}
    totals: set[int] = set()
    page = 0
    while True:
        page += 1
        response = yield _list_request(place, collection_name, page, connection)
        data = read_data(response, "cluster_id" if collection_name is None else "collection_name and cluster_id")
        listed = _records(data, response)
        known = len(records)
        records |= {_job_id(record, response): record for record in listed}
        count = as_count(data.get("count"))
        if count is not None and count != len(listed):
            # The reference calls it the number of jobs in this answer, but its examples have the number of all jobs.
            totals.add(count)
        if max(len(records), *totals, 0) > MAX_LISTED_JOBS:
            return None
        is_last = len(listed) < (as_count(data.get("pageSize")) or PAGE_SIZE)
        # A Milvus lists all jobs at once, whatever the page is.
        if len(records) == known or (is_last and len(records) >= max(totals, default=0)):
            break
    if len(totals) > 1 or len(records) < max(totals, default=0):
        # A job that was overlooked now would be new later.
        raise response.poll_error(f"{response.request_line}: the list of import jobs changed while it was read.")
    return records


def _list_request(place: JobPlace, collection_name: str | None, page: int, connection: VendorConnection) -> Request:
    if api_version(connection) == "v1":
        params = {
            "clusterId": place.v1_cluster(connection),
            "pageSize": str(PAGE_SIZE),
            "currentPage": str(page),
        }
        return Request(method="GET", path=f"{V1_IMPORT_PATH}/list", params=params, max_answer_bytes=MAX_JOB_BYTES)
    fields, headers = place.v2_fields(connection)
    if collection_name is not None:
        fields["collectionName"] = collection_name
    return Request(
        method="POST",
        path=f"{V2_IMPORT_PATH}/list",
        json={**fields, "pageSize": PAGE_SIZE, "currentPage": page},
        headers=headers,
        max_answer_bytes=MAX_JOB_BYTES,
    )


def _records(data: dict[str, Any], response: Response) -> list[dict[str, Any]]:
    # The schema of v1 has "records", its example "tasks".
    records = data.get("records", data.get("tasks"))
    if records is None and as_count(data.get("count")) == 0:
        return []
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise unexpected(response, 'a list of jobs as "records"')
    return records


def _job_id(record: dict[str, Any], response: Response) -> str:
    try:
        return checked_id("jobId", record.get("jobId"))
    except ValueError:
        raise unexpected(response, 'a "jobId" of each job') from None
