# SPDX-License-Identifier: Apache-2.0
"""
The search for an import job whose start was not answered.

No version lists the time, the files or the partition of a job. So the jobs are listed before the start. After it, the
job that is new and names exactly the files of the start is the one that was started.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_import_progress.hooks.zilliz_answers import progress_v1, progress_v2, read_data
from airflow_import_progress.hooks.zilliz_list import MAX_LISTED_JOBS, list_records
from airflow_import_progress.hooks.zilliz_place import api_version, request_job
from airflow_import_progress.hooks.zilliz_start import NewJob, split_address, without_credentials
from airflow_import_progress.vendor import (
    Conversation,
    ImportProtocolError,
    ImportRequestError,
    ImportState,
    Response,
    VendorConnection,
    as_text,
)

#: If there are more new jobs, none of them is taken for the one that was started.
MAX_NEW_JOBS = 50

#: Milvus's earlier form of a file's name: ``id:1 paths:"/a/1.parquet"``.
PATHS = re.compile(r'paths:\s*"((?:[^"\\]|\\.)*)"')
#: Hosts of object storages with the bucket in the path. Others may have it in the host.
PATH_STYLE_HOST = re.compile(r"s3[.-].*|storage\.googleapis\.com|.*\.blob\.core\.windows\.net")
#: The characters around the paths in Milvus's form of a file's name: ``[a/1.npy a/2.npy]``.
BRACKETS = ("[", "]")


@dataclass(frozen=True, kw_only=True)
class ListedJobs:
    """
    Hold the jobs before a start.

    :param digest: The digest of the job to start.
    :param job_ids: The jobs of the collection, or None if there are more than :data:`MAX_LISTED_JOBS`.
    """

    digest: str
    job_ids: list[str] | None


class SearchState(Enum):
    """The result of a search."""

    #: One job is certainly the one that was started.
    FOUND = "found"
    #: A new job does not name its files yet.
    PENDING = "pending"
    #: No new job names the files. One may still be added to the list, while the request is processed.
    ABSENT = "absent"
    #: It cannot be found out.
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class JobSearch:
    """
    Hold the result of a search.

    :param state: The result.
    :param reason: A description of it for the log, as a sentence.
    :param job_id: The job that was found.
    """

    state: SearchState
    reason: str
    job_id: str = ""


class _Match(Enum):
    """The relation of a job to the job that was started."""

    SAME = "same"
    OTHER = "other"
    #: The job does not name its files yet.
    PENDING = "pending"
    UNCLEAR = "unclear"


def list_jobs(job: NewJob, connection: VendorConnection) -> Conversation[ListedJobs]:
    """
    List the jobs of a collection.

    :param job: The job to start.
    :param connection: The connection.
    :raises ImportPollError: if the list changed while it was read.
    """
    records = yield from list_records(job.place, job.collection_name, connection)
    if records is None:
        return ListedJobs(digest=job.digest(connection), job_ids=None)
    ours = (None, "", job.collection_name)
    job_ids = [job_id for job_id, record in records.items() if record.get("collectionName") in ours]
    return ListedJobs(digest=job.digest(connection), job_ids=job_ids)


def find_job(job: NewJob, listed: ListedJobs, connection: VendorConnection) -> Conversation[JobSearch]:
    """
    Search for a job whose start was not answered.

    :param job: The job.
    :param listed: The jobs before the start.
    :param connection: The connection.
    """
    now = yield from list_jobs(job, connection)
    if now.digest != listed.digest:
        return JobSearch(
            state=SearchState.UNKNOWN,
            reason="The files, the collection or the connection's server have changed since the start, so the job "
            "cannot be searched for.",
        )
    if listed.job_ids is None or now.job_ids is None:
        return JobSearch(
            state=SearchState.UNKNOWN,
            reason=f"There are more than {MAX_LISTED_JOBS:,} import jobs, too many to search for a new one.",
        )
    new = [job_id for job_id in now.job_ids if job_id not in listed.job_ids]
    if len(new) > MAX_NEW_JOBS:
        return JobSearch(state=SearchState.UNKNOWN, reason=f"There are {len(new):,} new jobs, too many to compare.")
    matches: dict[str, _Match] = {}
    for job_id in new:
        try:
            response = yield from request_job(job_id, job.place, connection)
            matches[job_id] = _match(job, job_id, response, connection)
        except (ImportProtocolError, ImportRequestError) as error:
            if error.transient:
                raise
            matches[job_id] = _Match.UNCLEAR
    return _result(job, matches)


def _result(job: NewJob, matches: dict[str, _Match]) -> JobSearch:
    def having(wanted: _Match) -> list[str]:
        return [job_id for job_id, match in matches.items() if match is wanted]

    same, pending = having(_Match.SAME), having(_Match.PENDING)
    possible = [*same, *pending, *having(_Match.UNCLEAR)]
    named = ", ".join(map(repr, possible))
    if pending:
        reason = f"The new jobs {', '.join(map(repr, pending))} do not name all their files yet."
        return JobSearch(state=SearchState.PENDING, reason=reason)
    if not possible:
        return JobSearch(state=SearchState.ABSENT, reason="No new job of the collection names the files.")
    if len(possible) > 1:
        return JobSearch(state=SearchState.UNKNOWN, reason=f"The new jobs {named} may be the one that was started.")
    if not same:
        return JobSearch(
            state=SearchState.UNKNOWN, reason=f"The new job {named} may be the one, but it does not name all the files."
        )
    if job.partition_name is not None:
        return JobSearch(
            state=SearchState.UNKNOWN,
            reason=f"The new job {named} names the files, but no job names its partition, so it may be another one.",
        )
    return JobSearch(state=SearchState.FOUND, reason=f"The new job {named} names the files.", job_id=same[0])


# The files of a job


def _match(job: NewJob, job_id: str, response: Response, connection: VendorConnection) -> _Match:
    data = read_data(response)
    if data.get("collectionName") not in (None, "", job.collection_name):
        return _Match.OTHER
    progress = (progress_v1 if api_version(connection) == "v1" else progress_v2)(job_id, data, response)
    has_ended = progress.state in (ImportState.SUCCEEDED, ImportState.FAILED)
    undecided = _Match.UNCLEAR if has_ended else _Match.PENDING
    names = _file_names(data)
    if not names:
        return undecided
    found = {name: [group for group in job.groups if _is_named(group, name)] for name in names}
    strange = [name for name, groups in found.items() if not groups]
    if strange:
        return _Match.UNCLEAR if all(_may_be_named(job, name) for name in strange) else _Match.OTHER
    is_whole = {group for groups in found.values() for group in groups} == set(job.groups)
    return _Match.SAME if is_whole else undecided


def _file_names(data: dict[str, Any]) -> list[str]:
    files = data.get("details")
    names = [file.get("fileName") for file in files] if isinstance(files, list) else []
    given = [name for name in names if as_text(name)] or [data.get("fileName")]
    return [str(name).strip() for name in given if as_text(name)]


def _is_named(group: tuple[str, ...], name: str) -> bool:
    written = {text.rstrip("/") for text in _written(name)}
    return any(form.rstrip("/") in written for form in _forms(group) if form)


def _may_be_named(job: NewJob, name: str) -> bool:
    """Return whether a name may be that of a file in a folder, or only the last parts of that of a file."""
    written = list(_written(name))
    endings = tuple(f"/{text.rstrip('/').rpartition(' ')[2]}" for text in written)
    for group in job.groups:
        folders = tuple(f"{form.rstrip('/')}/" for form in _forms(group) if form)
        if any(text.startswith(folders) for text in written):
            return True
        if any(f"/{without_credentials(path).rstrip('/')}".endswith(endings) for path in group):
            return True
    return False


def _forms(group: tuple[str, ...]) -> Iterator[str]:
    """Yield the forms in which a vendor may name files that belong together."""
    for forms in zip(*map(_forms_of_path, group), strict=True):
        yield " ".join(forms)


def _forms_of_path(path: str) -> tuple[str, str, str, str]:
    parts = split_address(path)
    if not parts.netloc:
        return path, path.lstrip("/"), path, path
    key, host = parts.path.lstrip("/"), parts.netloc.rpartition("@")[2]
    # Only as a whole: the last part alone may be that of a file in another folder.
    in_bucket = key.partition("/")[2] if parts.scheme.startswith("http") and PATH_STYLE_HOST.fullmatch(host) else ""
    return without_credentials(path), key, f"{host}/{key}", in_bucket or key


def _written(name: str) -> Iterator[str]:
    yield without_credentials(name)
    yield name.lstrip("/")
    if paths := PATHS.findall(name):
        yield " ".join(paths)
    elif name.startswith(BRACKETS[0]) and name.endswith(BRACKETS[1]):
        yield name[1:-1]
