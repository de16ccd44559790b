# SPDX-License-Identifier: Apache-2.0
"""
Zilliz Cloud with its APIs v1 and v2, and the open-source Milvus: import jobs of vectors into a collection.

Sources: the published API reference (https://docs.zilliz.com/reference/restful, section "Import") and the server's
source, https://github.com/milvus-io/milvus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Unpack
from urllib.parse import urlsplit

from airflow_import_progress.hooks.zilliz_answers import (
    LIMITER_CODES,
    UNKNOWN_JOB_CODES,
    has_ended,
    progress_v1,
    progress_v2,
    read_code,
    read_data,
    unexpected,
)
from airflow_import_progress.hooks.zilliz_list import MAX_LISTED_JOBS, list_records
from airflow_import_progress.hooks.zilliz_place import (
    CLOUD_DOMAINS,
    V1_IMPORT_PATH,
    V2_IMPORT_PATH,
    V2_PROGRESS_PATH,
    JobPlace,
    api_version,
    cloud_host,
    configured_cluster,
    is_control_plane,
    request_job,
    send_job_request_v2,
)
from airflow_import_progress.hooks.zilliz_search import JobSearch, ListedJobs, find_job, list_jobs
from airflow_import_progress.hooks.zilliz_start import JobArguments, NewJob, start_job
from airflow_import_progress.hooks.zilliz_storage import StorageConnections, StorageCredentials
from airflow_import_progress.vendor import (
    Conversation,
    Import,
    ImportList,
    ImportProgress,
    ImportProgressHook,
    ImportRequestError,
    ListedImport,
    Request,
    Response,
    VendorConnection,
    checked_id,
    read_base_url,
    read_text,
    require_credential,
)

if TYPE_CHECKING:
    from airflow_import_progress.vendor import Connection

#: A job that no Milvus has: the numbers of its jobs are long.
UNKNOWN_JOB_ID = "0"
#: An answer with one of the limiter's codes is at most this long, in bytes.
MAX_REFUSAL_BYTES = 64 * 1024


@dataclass(frozen=True)
class ZillizImportJob(Import):
    """
    Identify an import job in Zilliz Cloud or in Milvus.

    :param job_id: The ``jobId`` that was returned when the import was started.
    :param cluster_id: The cluster of the collection. Default None: the connection's extra ``cluster_id``. A Milvus
        needs none.
    :param project_id: The project of an on-demand database, together with ``region_id`` instead of a cluster.
    :param region_id: The region of an on-demand database.
    :param db_name: The database of the collection, if the rights of the key depend on the database; v1 has none.
    :raises ValueError: if one of them is not an identifier, or if they contradict each other.
    """

    label: ClassVar[str] = "Zilliz import job"
    failure_advice: ClassVar[str] = (
        "Check the job in Zilliz Cloud's console or in the log of Milvus, and correct the files before importing again."
    )
    action_advice: ClassVar[str] = f"Commit it with POST {V2_IMPORT_PATH}/commit, or abandon it with /abort."

    job_id: str
    cluster_id: str | None = None
    project_id: str | None = None
    region_id: str | None = None
    db_name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "job_id", checked_id("job_id", self.job_id))
        for name, value in asdict(self._place).items():
            object.__setattr__(self, name, value)

    @property
    def import_id(self) -> str:
        """The ``job_id``."""
        return self.job_id

    def poll(self, connection: VendorConnection) -> Conversation[ImportProgress]:
        """
        Request the job, in the form of the connection's API version.

        A Milvus of 2024 may not have the path of v2 yet, and needs a second request, to the earlier path.

        :raises ImportRequestError: if the cluster or project of the job is missing, before anything is sent.
        """
        response = yield from request_job(self.job_id, self._place, connection)
        progress = progress_v1 if api_version(connection) == "v1" else progress_v2
        return progress(self.job_id, self._data(response), response)

    @property
    def _place(self) -> JobPlace:
        return JobPlace(
            cluster_id=self.cluster_id, project_id=self.project_id, region_id=self.region_id, db_name=self.db_name
        )

    def _data(self, response: Response) -> dict[str, Any]:
        data = read_data(response)
        job_id = data.get("jobId")
        if job_id is not None and str(job_id) != self.job_id:
            raise unexpected(response, f"the job {self.job_id!r}, not another one")
        return data


@dataclass(frozen=True)
class ZillizStartedJob(ZillizImportJob):
    """
    Identify an import job that was started with the credentials of an object storage.

    Polls look these up, to keep them out of Zilliz's texts.

    :param storage_conn_id: The Airflow connection with the credentials. Default None: none were sent.
    """

    storage_conn_id: str | None = None


@dataclass(frozen=True)
class ZillizImportJobs(ImportList):
    """
    Identify all import jobs of a cluster of Zilliz Cloud or of a Milvus.

    :param cluster_id: The cluster. Default None: the connection's extra ``cluster_id``. A Milvus needs none.
    :param project_id: The project of an on-demand database, together with ``region_id`` instead of a cluster.
    :param region_id: The region of an on-demand database.
    :param db_name: The database. Default None: the vendor's own default; v1 has none.
    :raises ValueError: if one of them is not an identifier, or if they contradict each other.
    """

    label: ClassVar[str] = "Zilliz import jobs"

    cluster_id: str | None = None
    project_id: str | None = None
    region_id: str | None = None
    db_name: str | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self._place).items():
            object.__setattr__(self, name, value)

    def poll(self, connection: VendorConnection) -> Conversation[Sequence[ListedImport]]:
        """
        Request the list, page by page. Neither version lists more than the state of a job.

        :raises ImportRequestError: if there are too many jobs.
        """
        records = yield from list_records(self._place, None, connection)
        if records is None:
            raise ImportRequestError(
                f"There are more than {MAX_LISTED_JOBS:,} import jobs, too many to list again and again. Wait for "
                f"single jobs with a sensor instead, or limit the list with db_name."
            )
        return [
            ListedImport(import_=ZillizImportJob(job_id, **self.to_dict()), has_ended=has_ended(record.get("state")))
            for job_id, record in records.items()
        ]

    def place(self, connection: VendorConnection) -> str:
        """Return the host with the cluster or database."""
        host = super().place(connection)
        if api_version(connection) == "v1":
            return f"{host} {self._place.v1_cluster(connection)}"
        return f"{host} {json.dumps(self._place.v2_fields(connection), sort_keys=True)}"

    @property
    def _place(self) -> JobPlace:
        return JobPlace(
            cluster_id=self.cluster_id, project_id=self.project_id, region_id=self.region_id, db_name=self.db_name
        )


class ZillizHook(ImportProgressHook):
    """
    Send requests to Zilliz Cloud or to one Milvus.

    The connection has the API key as password, or the login and password of a Milvus user. Its host is
    ``controller.api.{region}.zillizcloud.com`` (v1), ``api.cloud.zilliz.com`` (v2) or that of the Milvus; it may be
    empty with the extra ``cloud_region`` or with the ``api_version`` ``v2``. The extras are ``api_version`` (``v1`` or
    ``v2``), ``cloud_region``, ``cluster_id``, ``timeout``, ``verify`` and ``proxy``.

    :param zilliz_conn_id: The Airflow connection of type ``zilliz``.
    """

    conn_name_attr: ClassVar[str] = "zilliz_conn_id"
    default_conn_name: ClassVar[str] = "zilliz_default"
    conn_type: ClassVar[str] = "zilliz"
    hook_name: ClassVar[str] = "Zilliz"
    import_classes: ClassVar[Sequence[type[Import]]] = (ZillizImportJob,)
    requests_per_minute: ClassVar[float | None] = 1200
    status_advice: ClassVar[Mapping[int, str]] = {
        401: "Zilliz did not accept the credentials: enter a valid API key as the connection's password, or the user "
        "and password of a Milvus as its login and password; and check that the key may read the cluster.",
        403: "Give the API key or the Milvus user the right to read import jobs.",
        404: "There is no such import API: a Milvus needs the connection's extra 'api_version' 'v2', Zilliz's v1 the "
        "host controller.api.{region}.zillizcloud.com, its v2 the host api.cloud.zilliz.com.",
    }

    def __init__(self, zilliz_conn_id: str = default_conn_name) -> None:
        super().__init__(zilliz_conn_id)
        self._storages = StorageConnections(self)

    def base_url(self, connection: Connection, extra: Mapping[str, Any]) -> str:
        """Return the address of the connection's host, or without a host that of its extras."""
        if read_text("host", connection.host):
            return super().base_url(connection, extra)
        return read_base_url(cloud_host(extra), connection.schema, connection.port)

    def validate_connection(self, connection: VendorConnection) -> None:
        """Raise if the connection has no usable credentials, or if its extras contradict its host."""
        if not connection.password and (connection.login or not _may_lack_credentials(connection)):
            raise ImportRequestError(
                "The connection has no password. Enter the API key there, or a Milvus user and password in login and "
                "password. A Milvus without authentication needs neither, but the extra 'api_version' 'v2'."
            )
        if connection.password:
            require_credential("login or password", _token(connection), "API key, or the Milvus user and password,")
        if api_version(connection) == "v1" and is_control_plane(connection):
            raise ImportRequestError(
                "The connection's host is Zilliz's control plane, which supports only v2. Remove the extra "
                "'api_version', or enter the host controller.api.{region}.zillizcloud.com."
            )
        configured_cluster(connection)

    def get_progress(self, import_: Import) -> ImportProgress:
        """Poll for the progress of a job, whose storage's credentials are kept out of it."""
        self._storages.learn(_storage_of(import_))
        return super().get_progress(import_)

    async def aget_progress(self, import_: Import, **kwargs: Any) -> ImportProgress:
        """Poll for the progress of a job without blocking the event loop, as :meth:`get_progress`."""
        await self._storages.alearn(_storage_of(import_))
        return await super().aget_progress(import_, **kwargs)

    def start_import_job(self, collection_name: str, **arguments: Unpack[JobArguments]) -> ZillizStartedJob:
        """
        Start an import job, once.

        :param collection_name: The collection.
        :param arguments: Either ``object_urls`` or ``files``, and if wanted the others.

            ``object_urls``: the addresses of files or folders for Zilliz Cloud, such as ``"s3://bucket/1.parquet"``:
            one, a list of them, or a list of lists. v1 takes one address.

            ``files``: the paths of files in the storage of a Milvus. Lists in the list have a file per column.

            ``storage_conn_id``: the Airflow connection with the credentials of the object storage of ``object_urls``:
            the access key as login, the secret key as password, and for v2 the token of short-term credentials as the
            extra ``aws_session_token``. Without it, none are sent.

            ``partition_name``, ``db_name``: the partition and the database. Without them, the vendor's default; v1 has
            no ``db_name``.

            ``cluster_id``: the cluster. Without it, the connection's extra ``cluster_id``; a Milvus needs none.

            ``project_id`` and ``region_id``: the project and region of an on-demand database, instead of a cluster.
        :return: The job, for :meth:`.ImportProgressHook.get_progress`. Its ``job_id`` is for the sensor.
        :raises ImportFileError: if the files are not given as described; nothing was started.
        :raises ImportRequestError: if the connection ``storage_conn_id`` cannot be used; nothing was started.
        :raises ImportStartRefusedError: if the vendor refuses it; nothing was started.
        :raises ImportStartUnknownError: if the answer was lost, so that the job may have been started.
        :raises ValueError: if another argument is not valid.
        """
        job = NewJob.of(collection_name, **arguments)
        storage = None if job.storage_conn_id is None else self._storages.get(job.storage_conn_id)
        return self.start_import(self._start(job, storage))

    async def astart_import_job(self, collection_name: str, **arguments: Unpack[JobArguments]) -> ZillizStartedJob:
        """
        Start an import job without blocking the event loop, as :meth:`start_import_job`.

        :param collection_name: The collection.
        :param arguments: The other arguments of :meth:`start_import_job`.
        """
        job = NewJob.of(collection_name, **arguments)
        storage = None if job.storage_conn_id is None else await self._storages.aget(job.storage_conn_id)
        return await self.astart_import(self._start(job, storage))

    def list_import_jobs(self, job: NewJob) -> ListedJobs:
        """
        List the jobs of a collection before a start, and check that the start can be sent.

        :param job: The job to start.
        :raises ImportProgressError: if the list cannot be read, or the start could not be sent.
        """
        storage = None if job.storage_conn_id is None else self._storages.get(job.storage_conn_id)
        with self._translating_errors(self._subject):
            connection = self.connection_cache.get()
            job.request(storage, connection)
            return self._run(list_jobs(job, connection))

    def find_import_job(self, job: NewJob, listed: ListedJobs) -> JobSearch:
        """
        Search for a job whose start was not answered.

        :param job: The job.
        :param listed: The jobs before the start.
        :raises ImportProgressError: if the search failed.
        """
        self._storages.learn(job.storage_conn_id)
        with self._translating_errors(self._subject):
            return self._run(find_job(job, listed, self.connection_cache.get()))

    def send_authenticated(self, request: Request, connection: VendorConnection) -> Conversation[Response]:
        """
        Send one request with the API key, or the user and password, as a bearer token.

        A Milvus without authentication needs none.
        """
        if connection.password:
            request = request.with_headers({"Authorization": f"Bearer {_token(connection)}"})
        return self._storages.redact((yield request))

    def is_rate_limited(self, response: Response) -> bool:
        """Return whether an answer is HTTP 429, or has one of the codes of the limiter, mostly under HTTP 200."""
        is_refusal = len(response.body) <= MAX_REFUSAL_BYTES and read_code(response) in LIMITER_CODES
        return is_refusal or super().is_rate_limited(response)

    def probe(self, connection: VendorConnection) -> Conversation[str]:
        """
        Request the cluster's import jobs from Zilliz, or the clusters if the connection names none.

        From a Milvus, request a job that does not exist.
        """
        version, cluster_id = api_version(connection), configured_cluster(connection)
        message = f"{connection.base_url} accepted the credentials"
        if cluster_id is None and (version == "v1" or is_control_plane(connection)):
            read_data((yield Request(method="GET", path=f"/{version}/clusters")))
            return f"{message}. Enter the extra 'cluster_id' to verify that they may read its import jobs."
        if version == "v1":
            request = Request(
                method="GET",
                path=f"{V1_IMPORT_PATH}/list",
                params={"clusterId": str(cluster_id), "pageSize": "10", "currentPage": "1"},
            )
            read_data((yield request))
        elif is_control_plane(connection):
            page = {"clusterId": cluster_id, "pageSize": 10, "currentPage": 1}
            read_data((yield Request(method="POST", path=f"{V2_IMPORT_PATH}/list", json=page)))
        else:
            # The same request as a poll. A Milvus would list all its jobs at once.
            body = {"jobId": UNKNOWN_JOB_ID}
            if cluster_id is not None:
                body["clusterId"] = cluster_id
            response = yield from send_job_request_v2(
                Request(method="POST", path=V2_PROGRESS_PATH, json=body), connection
            )
            if read_code(response) not in UNKNOWN_JOB_CODES:
                read_data(response)
        return f"{message} for the import jobs{f' of cluster {cluster_id!r}' if cluster_id else ''} ({version})."

    def _start(self, job: NewJob, storage: StorageCredentials | None) -> Conversation[ZillizStartedJob]:
        # The caller has just looked the connection up.
        job_id = yield from start_job(job, storage, self.connection_cache.get())
        return ZillizStartedJob(job_id, **asdict(job.place), storage_conn_id=job.storage_conn_id)


def _storage_of(import_: Import) -> str | None:
    return import_.storage_conn_id if isinstance(import_, ZillizStartedJob) else None


def _token(connection: VendorConnection) -> str:
    return f"{connection.login}:{connection.password}" if connection.login else connection.password


def _may_lack_credentials(connection: VendorConnection) -> bool:
    host = urlsplit(connection.base_url).hostname or ""
    return api_version(connection) == "v2" and not host.endswith(CLOUD_DOMAINS)
