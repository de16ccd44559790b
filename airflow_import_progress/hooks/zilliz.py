# SPDX-License-Identifier: Apache-2.0
"""
Zilliz Cloud, by its APIs v1 and v2, and the open-source Milvus: import jobs of vectors into a collection.

Sources of what is known about the vendor: the published API reference (https://docs.zilliz.com/reference/restful,
section "Import") and the server's source, https://github.com/milvus-io/milvus.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportPollError,
    ImportProgress,
    ImportProgressHook,
    ImportProtocolError,
    ImportRequestError,
    ImportState,
    Request,
    Response,
    VendorConnection,
    as_count,
    as_moment,
    as_number,
    as_text,
    checked_id,
    excerpt,
    is_transient,
    read_base_url,
    read_text,
)

if TYPE_CHECKING:
    from airflow_import_progress.compat import Connection

ApiVersion = Literal["v1", "v2"]

V1_IMPORT_PATH = "/v1/vector/collections/import"
V2_IMPORT_PATH = "/v2/vectordb/jobs/import"
V2_PROGRESS_PATH = f"{V2_IMPORT_PATH}/describe"
#: The path before October 2024, which newer servers of Milvus still have.
OLD_V2_PROGRESS_PATH = f"{V2_IMPORT_PATH}/get_progress"
#: A job that no Milvus has: its jobs have long numbers.
NO_JOB = "0"

CONTROL_PLANE = "api.cloud.zilliz.com"
CHINESE_CONTROL_PLANE = "api.cloud.zilliz.com.cn"
CONTROL_PLANES = frozenset({CONTROL_PLANE, CHINESE_CONTROL_PLANE})
#: Where Zilliz Cloud is, which never answers without credentials.
CLOUD_DOMAINS = (".zilliz.com", ".zilliz.com.cn", ".zillizcloud.com")
REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")

#: v1 documents 200, v2 documents 0, and servers of both answer the other one.
SUCCESS_CODES = frozenset({0, 200})
#: Too many requests, in Milvus's ``merr`` package; and HTTP's 429, should it come under HTTP 200.
LIMITER_CODES = frozenset({4, 8, 429, 1807})
#: What ``merr`` marks as retriable and a question about a job can meet: the limiter's, not ready, unavailable, short of
#: resources; and its cancellations and timeouts.
TRANSIENT_CODES = LIMITER_CODES | {1, 2, 12, 10000, 10001}
#: Milvus answers this code to an error that has none, such as one of a coordinator that is away. The message then has
#: one of these words, of gRPC or of Milvus's clients of its coordinators.
UNEXPECTED_CODE = 65535
UNAVAILABLE_WORDS = re.compile(
    r"code = (Unavailable|DeadlineExceeded|Canceled)|connection refused|connection error|context deadline exceeded"
    r"|not ready|not healthy|is not serving|find no available|service unavailable|node not found|node not match"
    r"|empty grpc client|transport is closing",
    re.IGNORECASE,
)
#: Not authenticated (Milvus), the same (both), token not found (Zilliz v1), API key illegal (Zilliz v2).
UNAUTHORISED_CODES = frozenset({1400, 1800, 21119, 80002})
#: What Milvus answers a question about a job that it does not have; newer servers tell it from a file's errors.
UNKNOWN_JOB_CODES = frozenset({2100, 2101})

STATES: Mapping[str, ImportState] = {
    "Pending": ImportState.PENDING,
    "Importing": ImportState.RUNNING,
    "InProgress": ImportState.RUNNING,
    "Uncommitted": ImportState.ACTION_REQUIRED,
    "Committing": ImportState.RUNNING,
    "Completed": ImportState.SUCCEEDED,
    "Failed": ImportState.FAILED,
}

#: Both versions name every file of a job; Milvus takes 1,024, and each may stand for many columns in a file each.
MAX_JOB_BYTES = 16 * 1024 * 1024
#: An answer with one of the limiter's codes is at most this long, in bytes.
MAX_REFUSAL_BYTES = 64 * 1024
#: How many files travel with the progress, those with an error first.
SHOWN_FILES = 5


@dataclass(frozen=True)
class ZillizImportJob(Import):
    """
    Identify an import job in Zilliz Cloud or in Milvus.

    :param job_id: The ``jobId`` that was answered when the import was started.
    :param cluster_id: The cluster that it imports into; None takes the connection's extra ``cluster_id``. A Milvus
        needs none.
    :param project_id: The project of an on-demand database, together with ``region_id`` in place of a cluster.
    :param region_id: The region of an on-demand database.
    :param db_name: The database of the collection, where the rights of the key are by database; v1 knows none.
    :raises ValueError: if one of them is no identifier, or if they contradict each other.
    """

    label: ClassVar[str] = "Zilliz import job"
    failure_advice: ClassVar[str] = (
        "Look at the job in Zilliz Cloud's console or in the log of Milvus, and mend the files before importing again."
    )
    action_advice: ClassVar[str] = f"Commit it with POST {V2_IMPORT_PATH}/commit, or give it up with /abort."

    job_id: str
    cluster_id: str | None = None
    project_id: str | None = None
    region_id: str | None = None
    db_name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "job_id", checked_id("job_id", self.job_id))
        for name in ("cluster_id", "project_id", "region_id", "db_name"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_id(name, getattr(self, name)))
        if (self.project_id is None) != (self.region_id is None):
            raise ValueError("project_id and region_id belong together: give both, or cluster_id")
        if self.cluster_id is not None and self.project_id is not None:
            raise ValueError("cluster_id and project_id exclude each other: a job is in a cluster or in a project")
        if self.db_name is not None and not self.db_name.isascii():
            raise ValueError(f"db_name must be ASCII, as the names of databases are, not {excerpt(self.db_name)!r}")

    @property
    def import_id(self) -> str:
        """Return the ``job_id``."""
        return self.job_id

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Ask how far the job is: one request, whose form depends on the connection's API version.

        A Milvus of 2024 may not have the path of v2 yet: then a second one, to the path that it had before.

        :param connection: The connection that is used.
        :raises ImportRequestError: if it is not known where the job is, before anything is sent.
        """
        if _api_version(connection) == "v1":
            response = yield self._request_v1(connection)
            return _progress_v1(self.job_id, self._data(response), response)
        response = yield from _described(self._request_v2(connection), connection)
        return _progress_v2(self.job_id, self._data(response), response)

    def _request_v1(self, connection: VendorConnection) -> Request:
        if self.project_id is not None:
            raise ImportRequestError(
                "Zilliz's API v1 does not know project_id and region_id. Set the connection's extra 'api_version' to "
                "'v2' and its host to Zilliz's control plane."
            )
        cluster_id = self.cluster_id or _configured_cluster(connection)
        if cluster_id is None:
            raise ImportRequestError(
                "Zilliz's API v1 needs the cluster of a job. Give cluster_id, or enter it as the connection's extra "
                "'cluster_id'. For a Milvus, which has none, set the extra 'api_version' to 'v2'."
            )
        return Request(
            method="GET",
            path=f"{V1_IMPORT_PATH}/get",
            params={"jobId": self.job_id, "clusterId": cluster_id},
            max_answer_bytes=MAX_JOB_BYTES,
        )

    def _request_v2(self, connection: VendorConnection) -> Request:
        body = {"jobId": self.job_id}
        cluster_id = self.cluster_id or _configured_cluster(connection)
        if self.project_id is not None and self.region_id is not None:
            body |= {"projectId": self.project_id, "regionId": self.region_id}
        elif cluster_id is not None:
            body["clusterId"] = cluster_id
        elif _is_control_plane(connection):
            raise ImportRequestError(
                "Zilliz Cloud needs to know where a job is. Give cluster_id, or project_id and region_id, or enter "
                "the connection's extra 'cluster_id'."
            )
        headers = {}
        if self.db_name is not None:
            # Milvus reads the body first, Zilliz's own client sends the header.
            body["dbName"] = headers["DB-Name"] = self.db_name
        return Request(
            method="POST",
            path=V2_PROGRESS_PATH,
            json=body,
            headers=headers,
            max_answer_bytes=MAX_JOB_BYTES,
        )

    def _data(self, response: Response) -> dict[str, Any]:
        data = _data(response)
        told = data.get("jobId")
        if told is not None and str(told) != self.job_id:
            raise _unexpected(response, f"the job {self.job_id!r}, not another one")
        return data


class ZillizHook(ImportProgressHook):
    """
    Talk to Zilliz Cloud or to one Milvus.

    The connection: password the API key, or login and password of a Milvus user; host
    ``controller.api.{region}.zillizcloud.com`` (v1), ``api.cloud.zilliz.com`` (v2) or that of the Milvus, or none
    with the extra ``cloud_region`` or the ``api_version`` ``v2``; extras ``api_version`` (``v1`` or ``v2``),
    ``cloud_region``, ``cluster_id``, ``timeout``, ``verify`` and ``proxy``.

    :param zilliz_conn_id: The Airflow connection of type ``zilliz``.
    """

    conn_name_attr: ClassVar[str] = "zilliz_conn_id"
    default_conn_name: ClassVar[str] = "zilliz_default"
    conn_type: ClassVar[str] = "zilliz"
    hook_name: ClassVar[str] = "Zilliz"
    import_classes: ClassVar[Sequence[type[Import]]] = (ZillizImportJob,)
    requests_per_minute: ClassVar[float | None] = 1200
    refusal_advice: ClassVar[Mapping[int, str]] = {
        401: "Zilliz did not accept the credentials: put a valid API key into the connection's password, or the user "
        "and password of a Milvus into its login and password; and check that the key may read the cluster.",
        403: "Give the API key or the Milvus user the right to read import jobs.",
        404: "There is no such import API: a Milvus needs the connection's extra 'api_version' 'v2', Zilliz's v1 the "
        "host controller.api.{region}.zillizcloud.com, its v2 the host api.cloud.zilliz.com.",
    }

    def __init__(self, zilliz_conn_id: str = default_conn_name) -> None:
        super().__init__(zilliz_conn_id)

    def base_url(self, connection: Connection, extra: Mapping[str, Any]) -> str:
        """
        Return the connection's address, or without a host the one that its extras lead to.

        :param connection: The connection as Airflow has it.
        :param extra: Its extras.
        :raises ImportRequestError: if neither leads to one.
        """
        if read_text("host", connection.host):
            return super().base_url(connection, extra)
        return read_base_url(_cloud_host(extra), connection.schema, connection.port)

    def validate_connection(self, connection: VendorConnection) -> None:
        """
        Refuse a connection without usable credentials, or whose extras contradict its host.

        :param connection: The connection, already read.
        :raises ImportRequestError: if something is missing or wrong.
        """
        if not connection.password and (connection.login or not _may_lack_credentials(connection)):
            raise ImportRequestError(
                "The connection has no password. Enter the API key there, or a Milvus user and password in login and "
                "password. A Milvus without authentication needs neither, but the extra 'api_version' 'v2'."
            )
        if not (_token(connection).isascii() and _token(connection).isprintable()):
            raise ImportRequestError(
                "The connection's login or password has characters that cannot be sent. Enter the API key alone, or "
                "a Milvus user and password."
            )
        if _api_version(connection) == "v1" and _is_control_plane(connection):
            raise ImportRequestError(
                "The connection's host is Zilliz's control plane, which speaks v2 only. Remove the extra "
                "'api_version', or enter the host controller.api.{region}.zillizcloud.com."
            )
        _configured_cluster(connection)

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the API key, or the user and password, as a bearer token; without any to an open Milvus.

        :param request: What to ask.
        :param connection: The connection with the credentials.
        """
        if not connection.password:
            return (yield request)
        return (yield request.with_headers({"Authorization": f"Bearer {_token(connection)}"}))

    def is_rate_limited(self, response: Response) -> bool:
        """
        Return whether an answer is HTTP 429, or has one of the codes of the limiter, mostly under HTTP 200.

        :param response: The answer.
        """
        is_refusal = len(response.body) <= MAX_REFUSAL_BYTES and _code(response) in LIMITER_CODES
        return is_refusal or super().is_rate_limited(response)

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Ask Zilliz for the cluster's import jobs, or for the clusters if the connection names none.

        A Milvus is asked for a job that it does not have.

        :param connection: The connection to verify.
        """
        version, cluster_id = _api_version(connection), _configured_cluster(connection)
        words = f"{connection.base_url} accepted the credentials"
        if cluster_id is None and (version == "v1" or _is_control_plane(connection)):
            _data((yield Request(method="GET", path=f"/{version}/clusters")))
            return f"{words}. Enter the extra 'cluster_id' to verify that they may read its import jobs."
        if version == "v1":
            request = Request(
                method="GET",
                path=f"{V1_IMPORT_PATH}/list",
                params={"clusterId": str(cluster_id), "pageSize": "10", "currentPage": "1"},
            )
            _data((yield request))
        elif _is_control_plane(connection):
            body = {"clusterId": cluster_id, "pageSize": 10, "currentPage": 1}
            _data((yield Request(method="POST", path=f"{V2_IMPORT_PATH}/list", json=body)))
        else:
            # As a wait does: a Milvus lists all its jobs at once, and an older one has another path for a single job.
            body = {"jobId": NO_JOB} if cluster_id is None else {"jobId": NO_JOB, "clusterId": cluster_id}
            response = yield from _described(Request(method="POST", path=V2_PROGRESS_PATH, json=body), connection)
            if _code(response) not in UNKNOWN_JOB_CODES:
                _data(response)
        return f"{words} for the import jobs{f' of cluster {cluster_id!r}' if cluster_id else ''} ({version})."


# The connection


def _token(connection: VendorConnection) -> str:
    return f"{connection.login}:{connection.password}" if connection.login else connection.password


def _may_lack_credentials(connection: VendorConnection) -> bool:
    host = urlsplit(connection.base_url).hostname or ""
    return _api_version(connection) == "v2" and not host.endswith(CLOUD_DOMAINS)


def _is_control_plane(connection: VendorConnection) -> bool:
    return urlsplit(connection.base_url).hostname in CONTROL_PLANES


def _api_version(connection: VendorConnection) -> ApiVersion:
    return _read_api_version(connection.extra) or ("v2" if _is_control_plane(connection) else "v1")


def _read_api_version(extra: Mapping[str, Any]) -> ApiVersion | None:
    given = extra.get("api_version")
    if given in (None, ""):
        return None
    if given not in get_args(ApiVersion):
        raise ImportRequestError(
            f"The connection's extra 'api_version' must be 'v1' or 'v2', not {excerpt(repr(given), 50)}."
        )
    version: ApiVersion = given
    return version


def _configured_cluster(connection: VendorConnection) -> str | None:
    value = connection.extra.get("cluster_id")
    if value in (None, ""):
        return None
    try:
        return checked_id("cluster_id", value)
    except ValueError:
        raise ImportRequestError(
            f"The connection's extra 'cluster_id' is no cluster's id: {excerpt(str(value))!r}."
        ) from None


def _cloud_host(extra: Mapping[str, Any]) -> str:
    given = extra.get("cloud_region")
    region = "" if given is None else str(given).strip().lower()
    if region and not (REGION.fullmatch(region) and len(region) <= 63):
        raise ImportRequestError(
            f"The connection's extra 'cloud_region' must be a region such as 'gcp-us-west1', not {excerpt(region)!r}."
        )
    if "-cn-" in region:
        raise ImportRequestError(
            f"The address of a Chinese region cannot be told from {region!r}, because Zilliz's documents disagree on "
            f"it. Enter the connection's host: that of v1 as your console shows it, or {CHINESE_CONTROL_PLANE} for v2."
        )
    if _read_api_version(extra) == "v2":
        return CONTROL_PLANE
    if not region:
        raise ImportRequestError(
            "The connection has neither a host nor the extra 'cloud_region'. Enter the region, such as "
            "'gcp-us-west1', for Zilliz's v1; set the extra 'api_version' to 'v2' for its v2; or enter a host."
        )
    return f"controller.api.{region}.zillizcloud.com"


# The answers


def _described(request: Request, connection: VendorConnection) -> Conversation[Response]:
    """Ask for a job by v2, at the old path if the server does not have the new one."""
    response = yield request
    if response.status != 404 or _is_control_plane(connection):
        return response
    old = yield replace(request, path=OLD_V2_PROGRESS_PATH)
    if old.status == 404:
        # Without its status: the usual advice is to set what is set already.
        raise ImportRequestError(
            f"{response.request_line} answered HTTP 404, and so did {old.request_line}. A Milvus from 2.4 on has one "
            f"of the two, so this is another server, or a gateway that does not pass them on. Check the connection's "
            f"host, port and path."
        )
    return old


def _code(response: Response) -> int | None:
    answer = response.parsed_or_none()
    return as_count(answer.get("code")) if isinstance(answer, dict) else None


def _says_unavailable(response: Response) -> bool:
    # In the whole message: a stack trace may be in front of the words.
    answer = response.parsed_or_none()
    return isinstance(answer, dict) and UNAVAILABLE_WORDS.search(str(answer.get("message"))) is not None


def _data(response: Response) -> dict[str, Any]:
    """Return what is in the envelope, which tells success and failure for itself, mostly under HTTP 200."""
    code = _code(response)
    if code not in LIMITER_CODES and is_transient(response.status):
        # Whatever other code: the proxy in front of the server fails.
        response.raise_for_status()
    said = f"{response.request_line} answered the error {code}: {response.error_text().rstrip('.')}."
    if code in TRANSIENT_CODES or (code == UNEXPECTED_CODE and _says_unavailable(response)):
        raise ImportPollError(
            said,
            transient=True,
            rate_limited=code in LIMITER_CODES,
            retry_after=response.retry_after,
            status=response.status,
        )
    if code in UNAUTHORISED_CODES:
        raise ImportRequestError(said, status=401)
    if code in UNKNOWN_JOB_CODES:
        raise ImportRequestError(
            f"{said} There is no such job: check job_id, and cluster_id or the connection's host. Some hours after "
            f"the end of a job Milvus forgets it (dataCoord.import.taskRetention); how it ended is then in its log."
        )
    answer = response.json()
    if not isinstance(answer, dict) or code is None:
        raise _unexpected(response, 'an object with a "code"')
    if code not in SUCCESS_CODES:
        raise ImportRequestError(f"{said} Check job_id and cluster_id, and look the code up with Zilliz.")
    data = answer.get("data")
    if not isinstance(data, dict):
        raise _unexpected(response, 'an object with the object "data"')
    return data


def _progress_v1(job_id: str, data: dict[str, Any], response: Response) -> ImportProgress:
    files = _files(data, response)
    error = _error(data, files, "errorMessage", response)
    ready = as_number(data.get("readyPercentage"))
    if ready is not None and not 0 <= ready <= 100:
        ready = None
    if ready is None and error is None:
        raise _unexpected(response, 'a "readyPercentage" from 0 to 1')
    # A fraction. 1 is the end even so if it should mean 1 %: Zilliz's own clients stop there.
    percent = None if ready is None else ready * 100 if ready <= 1 else ready
    if error is not None:
        state = ImportState.FAILED
    elif percent == 100:
        state = ImportState.SUCCEEDED
    else:
        state = ImportState.RUNNING
    warning = None
    is_over = bool(data.get("completeTime"))
    if state is ImportState.RUNNING and is_over:
        warning = (
            "Zilliz says since when the job is over (completeTime), but neither that it is done (readyPercentage) nor "
            "what is wrong (errorMessage). The wait goes on until it does, or until its timeout: look at the job in "
            "Zilliz Cloud's console."
        )
    if state is ImportState.SUCCEEDED and not is_over:
        warning = (
            f"Zilliz says that it is done (readyPercentage {ready:g}), but not since when (completeTime). It counts "
            f"as done."
        )
    return ImportProgress(
        import_id=job_id,
        state=state,
        percent=percent,
        vendor_status=ready,
        message=error,
        finished_at=as_moment(data.get("completeTime")),
        warning=warning,
        details=_details(data, files, response),
    )


def _progress_v2(job_id: str, data: dict[str, Any], response: Response) -> ImportProgress:
    files = _files(data, response)
    status = as_text(data.get("state"))
    if status is None:
        raise _unexpected(response, 'a "state"')
    state, warning = STATES.get(status), None
    if state is None:
        if data.get("completeTime"):
            raise _unexpected(response, "a state that is known, now that the job is over")
        state = ImportState.RUNNING
        warning = (
            f"Zilliz reports the state {response.excerpt(status, 50)!r}, which this version does not know. The "
            f"wait goes on until it reports Completed or Failed, or until its timeout."
        )
    if state is ImportState.SUCCEEDED and any(file.get("state") == "Failed" for file in files):
        raise _unexpected(response, "a completed job without a failed file")
    total, imported = as_count(data.get("totalRows")), as_count(data.get("importedRows"))
    if state is ImportState.SUCCEEDED and total is not None and imported is not None and imported < total:
        # Milvus reports one number as both; the references call totalRows the rows of the whole collection.
        warning = (
            f"Zilliz reports a completed job with {imported:,} imported of {total:,} rows. That is usual where the "
            f"total counts the whole collection. If each row counts, set min_records."
        )
    percent = as_number(data.get("progress"))
    return ImportProgress(
        import_id=job_id,
        state=state,
        percent=percent if percent is not None and 0 <= percent <= 100 else None,
        total=total,
        processed=imported,
        imported=imported,
        vendor_status=status if status in STATES else response.excerpt(status, 50),
        message=_error(data, files, "reason", response),
        started_at=as_moment(data.get("createTime")),
        finished_at=as_moment(data.get("completeTime")),
        warning=warning,
        details=_details(data, files, response),
    )


def _files(data: dict[str, Any], response: Response) -> list[dict[str, Any]]:
    files = data.get("details")
    if files is None:
        return []
    # An error could hide in what is none.
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise _unexpected(response, 'a list of files as "details"')
    return files


def _error(data: dict[str, Any], files: list[dict[str, Any]], field: str, response: Response) -> str | None:
    """Return the words of an error of the job, else of a file, whatever it consists of, or None if there is none."""
    if data.get(field):
        return _words(data[field], response) or "no reason given"
    for file in files:
        if file.get(field):
            name = _name(file.get("fileName"), response) or "a file"
            return f"{name}: {_words(file[field], response) or 'no reason given'}"
    return None


def _details(data: dict[str, Any], files: list[dict[str, Any]], response: Response) -> dict[str, Any]:
    shown = sorted(files, key=lambda file: not (file.get("errorMessage") or file.get("reason")))[:SHOWN_FILES]
    return _known(
        collection=_name(data.get("collectionName"), response),
        file_count=len(files),
        files=[
            _known(
                name=_name(file.get("fileName"), response),
                state=_state(file.get("state"), response),
                imported_rows=as_count(file.get("importedRows")),
                total_rows=as_count(file.get("totalRows")),
                error=_words(file.get("errorMessage") or file.get("reason"), response),
            )
            for file in shown
        ],
    )


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _name(value: Any, response: Response) -> str:
    return "" if value is None else response.name(str(value))


def _state(value: Any, response: Response) -> str:
    return value if isinstance(value, str) and value in STATES else _words(value, response)


def _words(value: Any, response: Response) -> str:
    return "" if value is None else response.excerpt(str(value), 200)


def _unexpected(response: Response, expected: str) -> ImportProtocolError:
    return ImportProtocolError(
        f"{response.request_line} answered {response.excerpt()!r} where Zilliz's API promises {expected}. Whether the "
        f"import succeeded is unknown: look in Zilliz Cloud or Milvus, and report this if it lasts."
    )
