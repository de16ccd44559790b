# SPDX-License-Identifier: Apache-2.0
"""
The conversation that starts an import job in Zilliz Cloud or Milvus.

Sources: the published API reference, Zilliz's Python client (``pymilvus.bulk_writer``) and Milvus's code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias, TypedDict, Unpack
from urllib.parse import SplitResult, urlsplit

from airflow_import_progress.hooks.zilliz_answers import (
    LIMITER_CODES,
    SUCCESS_CODES,
    TRANSIENT_CODES,
    UNAUTHORIZED_CODES,
    UNAVAILABLE_WORDS,
    UNEXPECTED_CODE,
    read_code,
    unexpected,
)
from airflow_import_progress.hooks.zilliz_place import (
    V1_IMPORT_PATH,
    V2_IMPORT_PATH,
    JobPlace,
    api_version,
    configured_cluster,
    is_control_plane,
)
from airflow_import_progress.hooks.zilliz_storage import StorageCredentials
from airflow_import_progress.vendor import (
    Conversation,
    ImportFileError,
    ImportRequestError,
    JsonBody,
    Request,
    Response,
    VendorConnection,
    checked_id,
    excerpt,
    is_transient,
)

#: The files of an import: one address, addresses, or lists of addresses that belong together.
JobFiles: TypeAlias = "str | Sequence[str] | Sequence[Sequence[str]]"

#: Milvus's code for an error within the server.
INTERNAL_CODE = 5
#: The codes after which a job may have been started all the same.
UNCERTAIN_CODES = TRANSIENT_CODES | {INTERNAL_CODE, UNEXPECTED_CODE}
#: The words of such an error under any other code, beside those of an unavailable coordinator.
UNCERTAIN_WORDS = re.compile(r"internal|time[d-]?[ -]?out|deadline", re.IGNORECASE)


class JobArguments(TypedDict, total=False):
    """The arguments of a start, beside the collection. None leaves one out."""

    object_urls: JobFiles | None
    files: JobFiles | None
    storage_conn_id: str | None
    partition_name: str | None
    cluster_id: str | None
    project_id: str | None
    region_id: str | None
    db_name: str | None


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """
    Describe an import job to start.

    :param collection_name: The collection.
    :param object_urls: The addresses of the files for Zilliz Cloud, instead of ``files``.
    :param files: The paths of the files in the storage of a Milvus, instead of ``object_urls``.
    :param storage_conn_id: The Airflow connection with the credentials of the object storage. Default None: none.
    :param partition_name: The partition. Default None: the collection's default.
    :param place: The cluster or project, and the database.
    :raises ImportFileError: if the files are not given as described.
    :raises ValueError: if another argument is not valid; the message names it.
    """

    collection_name: str
    object_urls: JobFiles | None = None
    files: JobFiles | None = None
    storage_conn_id: str | None = None
    partition_name: str | None = None
    place: JobPlace = field(default_factory=JobPlace)
    #: The files as lists of those that belong together.
    groups: tuple[tuple[str, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "collection_name", checked_id("collection_name", self.collection_name))
        for name in ("storage_conn_id", "partition_name"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checked_id(name, getattr(self, name)))
        if (self.object_urls is None) == (self.files is None):
            raise ValueError("give either object_urls, for Zilliz Cloud, or files, for a Milvus")
        name = "files" if self.object_urls is None else "object_urls"
        groups = _groups(name, getattr(self, name))
        for path in (path for group in groups for path in group):
            _check_path(name, path)
        object.__setattr__(self, "groups", groups)

    @classmethod
    def of(cls, collection_name: str, **arguments: Unpack[JobArguments]) -> NewJob:
        """
        Return the job with the arguments of a start.

        :param collection_name: The collection.
        :param arguments: The other ones.
        :raises TypeError: if the name of an argument is unknown.
        """
        # Python does not check the names: a misspelt one would import to another place.
        if unknown := arguments.keys() - JobArguments.__annotations__.keys():
            raise TypeError(f"unknown arguments of an import job: {', '.join(sorted(unknown))}")
        return cls(
            collection_name=collection_name,
            object_urls=arguments.get("object_urls"),
            files=arguments.get("files"),
            storage_conn_id=arguments.get("storage_conn_id"),
            partition_name=arguments.get("partition_name"),
            place=JobPlace(
                cluster_id=arguments.get("cluster_id"),
                project_id=arguments.get("project_id"),
                region_id=arguments.get("region_id"),
                db_name=arguments.get("db_name"),
            ),
        )

    def __str__(self) -> str:
        paths = [without_credentials(path) for group in self.groups for path in group]
        first = f"the file {excerpt(paths[0])!r}"
        return first if len(paths) == 1 else f"{first} and {len(paths) - 1:,} more"

    def digest(self, connection: VendorConnection) -> str:
        """
        Return a digest of the files and of where they go, without any credentials.

        :param connection: The connection.
        """
        content = {
            "collection": self.collection_name,
            "partition": self.partition_name,
            "kind": "files" if self.object_urls is None else "object_urls",
            "files": [[without_credentials(path) for path in group] for group in self.groups],
            "server": connection.base_url,
            **asdict(self.place),
            "cluster_id": self.place.cluster_id or configured_cluster(connection),
        }
        return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def request(self, storage: StorageCredentials | None, connection: VendorConnection) -> Request:
        """
        Return the request that starts the job, in the form of the connection's API version.

        :param storage: The credentials of the object storage, or None.
        :param connection: The connection.
        :raises ImportRequestError: if the connection does not support the files or their place.
        """
        if storage is not None and self.object_urls is None:
            raise ImportRequestError(
                "storage_conn_id is only for object_urls: a Milvus reads files from its own storage. Remove it."
            )
        body: dict[str, Any] = {"collectionName": self.collection_name}
        if self.partition_name is not None:
            body["partitionName"] = self.partition_name
        if storage is not None:
            body |= storage.fields()
        if api_version(connection) == "v1":
            body |= {"clusterId": self.place.v1_cluster(connection), "objectUrl": self._v1_address()}
            if "token" in body:
                raise ImportRequestError(
                    "Zilliz's API v1 does not support the token of short-term credentials. Set the connection's extra "
                    "'api_version' to 'v2' and its host to Zilliz's control plane, or use long-term credentials."
                )
            return Request(method="POST", path=V1_IMPORT_PATH, data=JsonBody(body))
        if self.object_urls is None and is_control_plane(connection):
            raise ImportRequestError("Zilliz Cloud needs object_urls. files is only for a Milvus.")
        fields, headers = self.place.v2_fields(connection)
        name = "files" if self.object_urls is None else "objectUrls"
        body |= {**fields, name: [list(group) for group in self.groups]}
        return Request(method="POST", path=f"{V2_IMPORT_PATH}/create", headers=headers, data=JsonBody(body))

    def _v1_address(self) -> str:
        paths = [path for group in self.groups for path in group]
        if self.object_urls is None or len(paths) != 1:
            raise ImportRequestError(
                f"Zilliz's API v1 imports one file or folder, given as object_urls, not {len(paths):,} "
                f"{'files' if self.object_urls is None else 'object_urls'}. Set the connection's extra 'api_version' "
                f"to 'v2', or put the files into one folder."
            )
        return paths[0]


def start_job(job: NewJob, storage: StorageCredentials | None, connection: VendorConnection) -> Conversation[str]:
    """
    Start a job. The result is its ``jobId``.

    :param job: The job.
    :param storage: The credentials of the object storage, or None.
    :param connection: The connection.
    :raises ImportRequestError: if the vendor refuses it.
    :raises ImportPollError: if the vendor may have started it all the same.
    :raises ImportProtocolError: if the answer has no ``jobId``.
    """
    return _started_job_id((yield job.request(storage, connection)))


def without_credentials(path: str) -> str:
    """
    Return a path or an address without the user, the password and the query, which may give access to the file.

    :param path: The path or address, which has been checked.
    """
    parts = split_address(path)
    if not parts.netloc:
        return path
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def split_address(path: str) -> SplitResult:
    """
    Return the parts of an address, which are empty for a path in a storage.

    :param path: The address or path.
    """
    try:
        return urlsplit(path if "://" in path else "")
    except ValueError:
        return urlsplit("")


def _started_job_id(response: Response) -> str:
    code, answer = read_code(response), response.parsed_or_none()
    problem = f"{response.request_line} returned error {code}: {response.error_text().rstrip('.')}."
    if code not in LIMITER_CODES:
        if code in UNAUTHORIZED_CODES and not is_transient(response.status):
            raise ImportRequestError(problem, status=401)
        # Whatever the code is, a proxy or the server reports with the HTTP status that the request failed.
        response.raise_for_status()
    if code not in SUCCESS_CODES and code is not None:
        message = str(answer.get("message")) if isinstance(answer, dict) else ""
        if code in UNCERTAIN_CODES or UNCERTAIN_WORDS.search(message) or UNAVAILABLE_WORDS.search(message):
            raise response.poll_error(problem, rate_limited=code in LIMITER_CODES)
        raise ImportRequestError(f"{problem} Correct the arguments, or look the code up in Zilliz's documents.")
    answer = response.json()
    if not isinstance(answer, dict) or code is None:
        raise unexpected(response, 'an object with a "code"')
    data = answer.get("data")
    if isinstance(data, list) and len(data) == 1:
        # The schema of v2 is a list, its example an object.
        data = data[0]
    try:
        return checked_id("jobId", data.get("jobId") if isinstance(data, dict) else None)
    except ValueError:
        raise unexpected(response, 'a "jobId" in "data"') from None


def _groups(name: str, value: object) -> tuple[tuple[str, ...], ...]:
    items: list[Any] = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    if items and all(isinstance(item, str) for item in items):
        return tuple((item,) for item in items)
    if items and all(_is_group(item) for item in items):
        return tuple(tuple(item) for item in items)
    raise ImportFileError(
        f"{name} must be an address, a list of addresses, or a list of such lists, without a mixture and without empty "
        f"lists, not {type(value).__name__}{' without content' if not items else ''}. No import was started. Check the "
        f"task that returns it."
    )


def _is_group(value: object) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return is_list and bool(value) and all(isinstance(path, str) for path in value)  # type: ignore[attr-defined]


def _check_path(name: str, path: str) -> None:
    problem = ""
    if path.strip().lower() in ("", "none", "null") or not path.isprintable() or path != path.strip():
        problem = "is not the path of a file"
    elif "{{" in path or "{%" in path:
        problem = "is a template that was not rendered"
    elif path[0] in "[(\"'":
        problem = "is a list as a text. Give the list itself, such as the output of the task that returns it"
    elif (name == "object_urls" or "://" in path) and not split_address(path).netloc:
        problem = "is not an address such as 's3://bucket/folder/1.parquet'"
    if problem:
        # Without what may be credentials.
        shown = excerpt(path.partition("?")[0].rpartition("@")[2])
        raise ImportFileError(f"{name}: {shown!r} {problem}. No import was started. Check the task that returns it.")
