# SPDX-License-Identifier: Apache-2.0
"""Import into Zilliz Cloud and Milvus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow_import_progress.hooks.zilliz import ZillizHook, ZillizStartedJob
from airflow_import_progress.hooks.zilliz_search import ListedJobs, SearchState
from airflow_import_progress.hooks.zilliz_start import JobArguments, NewJob
from airflow_import_progress.vendor import (
    NOT_GIVEN,
    BaseImportOperator,
    Gate,
    Import,
    ImportPollError,
    ImportProgressHook,
    NotGiven,
    OnActionRequired,
    PreparedStart,
    clock,
)

if TYPE_CHECKING:
    from airflow_import_progress.hooks.zilliz_start import JobFiles
    from airflow_import_progress.vendor import StartRecord, XComArg

#: How long a request without an answer may still add a job to the list, in seconds: Zilliz Cloud ends requests to its
#: control plane after a minute.
MAX_START_SECONDS = 120.0


class ZillizImportOperator(BaseImportOperator):
    """
    Import files into a collection of Zilliz Cloud or of a Milvus once, and wait until the import has really succeeded.

    The connection determines whether it uses Zilliz's API v1 or v2. If the answer to the start is lost, the jobs of the
    collection are searched for one that is new and names exactly these files.

    See :class:`~airflow_import_progress.operators.base.BaseImportOperator` for the promise to start an import only
    once, and for the arguments that all operators share.

    :param collection_name: The collection (templated).
    :param object_urls: The addresses of files or folders for Zilliz Cloud, such as ``"s3://bucket/1.parquet"``: one, a
        list of them, or a list of lists (templated). v1 takes one address. Give either this or ``files``.
    :param files: The paths of files in the storage of a Milvus: one, a list of them, or a list of lists, which have a
        file per column (templated).
    :param storage_conn_id: The Airflow connection with the credentials of the object storage of ``object_urls``
        (templated): the access key as login, the secret key as password, and for v2 the token of short-term credentials
        as the extra ``aws_session_token``. Not given: none are sent.
    :param partition_name: The partition (templated). Not given: the vendor's default. No job names its partition, so
        with one a lost answer is always reported as unknown.
    :param cluster_id: The cluster of the collection (templated). Not given: the connection's extra ``cluster_id``; a
        Milvus needs none.
    :param project_id: The project of an on-demand database, together with ``region_id`` instead of a cluster
        (templated).
    :param region_id: The region of an on-demand database (templated).
    :param db_name: The database of the collection (templated). Not given: the vendor's own default; v1 has none.
    :param zilliz_conn_id: The Airflow connection of type ``zilliz`` (templated).
    :param on_action_required: ``"wait"`` keeps waiting while a loaded job waits to be committed, ``"fail"`` does
        not. Default ``"wait"``.
    :param min_records: How many rows must have been imported, from 1; see
        :class:`~airflow_import_progress.sensors.zilliz.ZillizImportSensor`. Default None: any number.
    :param kwargs: The arguments that all operators share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    template_fields: Sequence[str] = (
        "collection_name",
        "object_urls",
        "files",
        "storage_conn_id",
        "partition_name",
        "cluster_id",
        "project_id",
        "region_id",
        "db_name",
        "zilliz_conn_id",
    )
    import_class = ZillizStartedJob
    hook_class = ZillizHook
    start_advice: ClassVar[str] = (
        "Check the import jobs of the collection in Zilliz Cloud's console, or those of a Milvus with POST "
        "/v2/vectordb/jobs/import/list."
    )
    job_id: str | NotGiven = NOT_GIVEN
    text_arguments: ClassVar[Sequence[str]] = ("collection_name", "partition_name")
    #: When the start was sent by this try.
    _sent_at = 0.0

    def __init__(
        self,
        *,
        collection_name: str | XComArg,
        object_urls: JobFiles | XComArg | NotGiven = NOT_GIVEN,
        files: JobFiles | XComArg | NotGiven = NOT_GIVEN,
        storage_conn_id: str | XComArg | NotGiven = NOT_GIVEN,
        partition_name: str | XComArg | NotGiven = NOT_GIVEN,
        cluster_id: str | XComArg | NotGiven = NOT_GIVEN,
        project_id: str | XComArg | NotGiven = NOT_GIVEN,
        region_id: str | XComArg | NotGiven = NOT_GIVEN,
        db_name: str | XComArg | NotGiven = NOT_GIVEN,
        zilliz_conn_id: str = ZillizHook.default_conn_name,
        on_action_required: OnActionRequired = "wait",
        min_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = Gate(on_action_required=on_action_required, min_records=min_records)
        if (object_urls is NOT_GIVEN) == (files is NOT_GIVEN):
            raise ValueError("give either object_urls, for Zilliz Cloud, or files, for a Milvus")
        if storage_conn_id is not NOT_GIVEN and object_urls is NOT_GIVEN:
            raise ValueError("storage_conn_id is only for object_urls: a Milvus reads files from its own storage")
        self.collection_name = collection_name
        self.object_urls = object_urls
        self.files = files
        self.storage_conn_id = storage_conn_id
        self.partition_name = partition_name
        self.cluster_id = cluster_id
        self.project_id = project_id
        self.region_id = region_id
        self.db_name = db_name
        self.zilliz_conn_id = zilliz_conn_id

    def prepare(self, hook: ImportProgressHook) -> PreparedStart:
        """
        Check the arguments and the connections, and list the jobs of the collection.

        :param hook: The hook.
        :raises ImportFileError: if the files are not given as described.
        :raises ValueError: if another argument is not valid.
        """
        zilliz, arguments = cast("ZillizHook", hook), self._arguments()
        job = NewJob.of(**arguments)
        listed = zilliz.list_import_jobs(job)
        if listed.job_ids is None:
            self.log.warning(
                "%s: there are too many import jobs to search for this one if the answer to its start is lost.",
                self._subject,
            )

        def send() -> ZillizStartedJob:
            self._sent_at = clock.current.time()
            return zilliz.start_import_job(**arguments)

        return PreparedStart(description=str(job), digest=listed.digest, send=send, notes={"job_ids": listed.job_ids})

    def content_digest(self, hook: ImportProgressHook) -> str:
        """Return the digest of the files and of where they go, without a list of the jobs."""
        return NewJob.of(**self._arguments()).digest(hook.connection_cache.get())

    def find_import(self, hook: ImportProgressHook, record: StartRecord) -> Import | None:
        """
        Return the only new job of the collection that names these files, or None.

        It never reports that no job was started: no version documents that its list has a job at once.

        :param hook: The hook.
        :param record: The record of the start.
        :raises ImportPollError: if the search may have another result later.
        """
        zilliz, job = cast("ZillizHook", hook), NewJob.of(**self._arguments())
        listed = ListedJobs(digest=record.digest, job_ids=record.notes.get("job_ids"))
        search = zilliz.find_import_job(job, listed)
        if search.state is SearchState.FOUND:
            return ZillizStartedJob(search.job_id, **asdict(job.place), storage_conn_id=job.storage_conn_id)
        may_be_added = clock.current.time() < max(record.sent_at, self._sent_at) + MAX_START_SECONDS
        if search.state is SearchState.PENDING or (search.state is SearchState.ABSENT and may_be_added):
            raise ImportPollError(f"{self._subject}: {search.reason}", transient=True)
        self.log.warning("%s: %s", self._subject, search.reason)
        return None

    def _arguments(self) -> dict[str, Any]:
        return {name: self._given(name) for name in ("collection_name", *JobArguments.__annotations__)}

    def _given(self, name: str) -> Any:
        value = getattr(self, name)
        if value is NOT_GIVEN:
            return None
        if value is None:
            raise ValueError(
                f"{name} is None. If it comes from an XCom, check that the upstream task returned it. To leave an "
                f"optional argument out, do not give it."
            )
        return value
