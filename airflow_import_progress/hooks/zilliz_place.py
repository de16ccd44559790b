# SPDX-License-Identifier: Apache-2.0
"""The place of an import job: the API version of the connection, and the cluster or the project and the database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from airflow_import_progress.vendor import (
    Conversation,
    ImportRequestError,
    Request,
    Response,
    VendorConnection,
    checked_id,
    excerpt,
)

ApiVersion = Literal["v1", "v2"]

V1_IMPORT_PATH = "/v1/vector/collections/import"
V2_IMPORT_PATH = "/v2/vectordb/jobs/import"
V2_PROGRESS_PATH = f"{V2_IMPORT_PATH}/describe"
#: The path before October 2024, which newer servers of Milvus still have.
OLD_V2_PROGRESS_PATH = f"{V2_IMPORT_PATH}/get_progress"

CONTROL_PLANE = "api.cloud.zilliz.com"
CHINESE_CONTROL_PLANE = "api.cloud.zilliz.com.cn"
CONTROL_PLANES = frozenset({CONTROL_PLANE, CHINESE_CONTROL_PLANE})
#: The domains of Zilliz Cloud, which always requires credentials.
CLOUD_DOMAINS = (".zilliz.com", ".zilliz.com.cn", ".zillizcloud.com")
REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")

#: Both versions list every file of a job; Milvus takes 1,024, each of which may be one file per column.
MAX_JOB_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class JobPlace:
    """
    Hold where an import job is.

    :param cluster_id: The cluster of the collection. Default None: the connection's extra ``cluster_id``.
    :param project_id: The project of an on-demand database, together with ``region_id`` instead of a cluster.
    :param region_id: The region of an on-demand database.
    :param db_name: The database of the collection.
    :raises ValueError: if one of them is not an identifier, or if they contradict each other.
    """

    cluster_id: str | None = None
    project_id: str | None = None
    region_id: str | None = None
    db_name: str | None = None

    def __post_init__(self) -> None:
        for name in ("cluster_id", "project_id", "region_id", "db_name"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_id(name, getattr(self, name)))
        if (self.project_id is None) != (self.region_id is None):
            raise ValueError("project_id and region_id belong together: give both, or cluster_id")
        if self.cluster_id is not None and self.project_id is not None:
            raise ValueError("cluster_id and project_id exclude each other: a job is in a cluster or in a project")
        if self.db_name is not None and not self.db_name.isascii():
            raise ValueError(f"db_name must be ASCII, as the names of databases are, not {excerpt(self.db_name)!r}")

    def v1_cluster(self, connection: VendorConnection) -> str:
        """
        Return the cluster, which v1 requires.

        :param connection: The connection.
        :raises ImportRequestError: if it is missing, or v1 does not support the place.
        """
        if self.project_id is not None:
            raise ImportRequestError(
                "Zilliz's API v1 does not support project_id and region_id. Set the connection's extra 'api_version' "
                "to 'v2' and its host to Zilliz's control plane."
            )
        cluster_id = self.cluster_id or configured_cluster(connection)
        if cluster_id is None:
            raise ImportRequestError(
                "Zilliz's API v1 needs the cluster of a job. Give cluster_id, or enter it as the connection's extra "
                "'cluster_id'. For a Milvus, which has none, set the extra 'api_version' to 'v2'."
            )
        return cluster_id

    def v2_fields(self, connection: VendorConnection) -> tuple[dict[str, Any], dict[str, str]]:
        """
        Return the fields of a request's body and the headers of v2 that name the place.

        :param connection: The connection.
        :raises ImportRequestError: if the cluster or project is missing.
        """
        fields: dict[str, Any] = {}
        headers: dict[str, str] = {}
        cluster_id = self.cluster_id or configured_cluster(connection)
        if self.project_id is not None:
            fields |= {"projectId": self.project_id, "regionId": self.region_id}
        elif cluster_id is not None:
            fields["clusterId"] = cluster_id
        elif is_control_plane(connection):
            raise ImportRequestError(
                "Zilliz Cloud needs the cluster or the project of a job. Give cluster_id, or project_id and region_id, "
                "or enter the connection's extra 'cluster_id'."
            )
        if self.db_name is not None:
            # Milvus reads the body first; Zilliz's own client sends the header.
            fields["dbName"] = headers["DB-Name"] = self.db_name
        return fields, headers


def request_job(job_id: str, place: JobPlace, connection: VendorConnection) -> Conversation[Response]:
    """
    Request a job, in the form of the connection's API version.

    :param job_id: The job.
    :param place: Where the job is.
    :param connection: The connection.
    """
    if api_version(connection) == "v1":
        params = {"jobId": job_id, "clusterId": place.v1_cluster(connection)}
        path = f"{V1_IMPORT_PATH}/get"
        return (yield Request(method="GET", path=path, params=params, max_answer_bytes=MAX_JOB_BYTES))
    fields, headers = place.v2_fields(connection)
    request = Request(
        method="POST",
        path=V2_PROGRESS_PATH,
        json={"jobId": job_id, **fields},
        headers=headers,
        max_answer_bytes=MAX_JOB_BYTES,
    )
    return (yield from send_job_request_v2(request, connection))


def is_control_plane(connection: VendorConnection) -> bool:
    """
    Return whether a connection leads to the control plane of Zilliz Cloud, which has v2 only.

    :param connection: The connection.
    """
    return urlsplit(connection.base_url).hostname in CONTROL_PLANES


def api_version(connection: VendorConnection) -> ApiVersion:
    """
    Return the API version of a connection.

    :param connection: The connection.
    """
    return read_api_version(connection.extra) or ("v2" if is_control_plane(connection) else "v1")


def read_api_version(extra: Mapping[str, Any]) -> ApiVersion | None:
    """
    Return the API version that the extras name, or None.

    :param extra: The extras.
    """
    given = extra.get("api_version")
    if given in (None, ""):
        return None
    if given not in get_args(ApiVersion):
        raise ImportRequestError(
            f"The connection's extra 'api_version' must be 'v1' or 'v2', not {excerpt(repr(given), 50)}."
        )
    version: ApiVersion = given
    return version


def configured_cluster(connection: VendorConnection) -> str | None:
    """
    Return the cluster that the extras of a connection name, or None.

    :param connection: The connection.
    """
    value = connection.extra.get("cluster_id")
    if value in (None, ""):
        return None
    try:
        return checked_id("cluster_id", value)
    except ValueError:
        raise ImportRequestError(
            f"The connection's extra 'cluster_id' is not a cluster id: {excerpt(str(value))!r}."
        ) from None


def send_job_request_v2(request: Request, connection: VendorConnection) -> Conversation[Response]:
    """
    Send the request for a job of v2, to the old path if the server does not have the new one.

    :param request: The request.
    :param connection: The connection.
    """
    response = yield request
    if response.status != 404 or is_control_plane(connection):
        return response
    old = yield replace(request, path=OLD_V2_PROGRESS_PATH)
    if old.status == 404:
        # Without its status, whose advice is to set extras that are set already.
        raise ImportRequestError(
            f"{response.request_line} returned HTTP 404, and so did {old.request_line}. A Milvus from 2.4 on has one "
            f"of the two, so this is another server, or a gateway that does not pass them on. Check the connection's "
            f"host, port and path."
        )
    return old


def cloud_host(extra: Mapping[str, Any]) -> str:
    """
    Return the host of Zilliz Cloud that the extras name, for a connection without a host.

    :param extra: The extras.
    :raises ImportRequestError: if they name none.
    """
    given = extra.get("cloud_region")
    region = "" if given is None else str(given).strip().lower()
    if region and not (REGION.fullmatch(region) and len(region) <= 63):
        raise ImportRequestError(
            f"The connection's extra 'cloud_region' must be a region such as 'gcp-us-west1', not {excerpt(region)!r}."
        )
    if "-cn-" in region:
        raise ImportRequestError(
            f"The address of the Chinese region {region!r} is unknown, because Zilliz's documents disagree on it. "
            f"Enter the connection's host: that of v1 as your console shows it, or {CHINESE_CONTROL_PLANE} for v2."
        )
    if read_api_version(extra) == "v2":
        return CONTROL_PLANE
    if not region:
        raise ImportRequestError(
            "The connection has neither a host nor the extra 'cloud_region'. Enter the region, such as "
            "'gcp-us-west1', for Zilliz's v1; set the extra 'api_version' to 'v2' for its v2; or enter a host."
        )
    return f"controller.api.{region}.zillizcloud.com"
