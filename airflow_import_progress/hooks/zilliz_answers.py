# SPDX-License-Identifier: Apache-2.0
"""The meaning of the answers of Zilliz Cloud and Milvus: their error codes, and the progress of a job in v1 and v2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_import_progress.vendor import (
    ImportProgress,
    ImportProtocolError,
    ImportRequestError,
    ImportState,
    Response,
    as_count,
    as_moment,
    as_number,
    as_text,
    is_transient,
    known_or_excerpt,
)

#: v1 documents 200 and v2 documents 0, but servers of both may return the other one.
SUCCESS_CODES = frozenset({0, 200})
#: Too many requests, in Milvus's ``merr`` package; and HTTP's 429, in case it is returned under HTTP 200.
LIMITER_CODES = frozenset({4, 8, 429, 1807})
#: The retriable codes of ``merr`` that a request for a job can return: those of the limiter, not ready, unavailable,
#: short of resources; and its cancellations and timeouts.
TRANSIENT_CODES = LIMITER_CODES | {1, 2, 12, 10000, 10001}
#: The code of Milvus for an error that has none, such as an unavailable coordinator. Its message then has one of these
#: phrases, of gRPC or of Milvus's clients of its coordinators.
UNEXPECTED_CODE = 65535
UNAVAILABLE_WORDS = re.compile(
    r"code = (Unavailable|DeadlineExceeded|Canceled)|connection refused|connection error|context deadline exceeded"
    r"|not ready|not healthy|is not serving|find no available|service unavailable|node not found|node not match"
    r"|empty grpc client|transport is closing",
    re.IGNORECASE,
)
#: Not authenticated (Milvus), the same (both), token not found (Zilliz v1), API key illegal (Zilliz v2).
UNAUTHORIZED_CODES = frozenset({1400, 1800, 21119, 80002})
#: The codes of Milvus for a job that does not exist; only newer servers distinguish it from an error of a file.
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

#: The states of the list of v1, as far as the reference shows them.
HAS_ENDED_V1: Mapping[str, bool] = {"ImportRunning": False, "ImportCompleted": True}

#: Files in the progress, those with an error first.
MAX_SHOWN_FILES = 5
MAX_STATE_LENGTH = 50
MAX_ERROR_LENGTH = 200


def read_code(response: Response) -> int | None:
    """Return the code in an answer, or None if it has none."""
    answer = response.parsed_or_none()
    return as_count(answer.get("code")) if isinstance(answer, dict) else None


def read_data(response: Response, arguments: str = "job_id and cluster_id") -> dict[str, Any]:
    """
    Return the data of a successful answer. Success and failure are in its code, mostly under HTTP 200.

    If the request is refused, the message advises to check the ``arguments``.

    :raises ImportPollError: if a later request may succeed.
    :raises ImportRequestError: if the request is refused, or there is no such job.
    :raises ImportProtocolError: if the answer has no code or no data.
    """
    code = read_code(response)
    if code not in LIMITER_CODES and is_transient(response.status):
        # Whatever the code is, the proxy before the server failed.
        response.raise_for_status()
    problem = f"{response.request_line} returned error {code}: {response.error_text().rstrip('.')}."
    if code in TRANSIENT_CODES or (code == UNEXPECTED_CODE and _is_unavailable(response)):
        raise response.poll_error(problem, rate_limited=code in LIMITER_CODES)
    if code in UNAUTHORIZED_CODES:
        raise ImportRequestError(problem, status=401)
    if code in UNKNOWN_JOB_CODES:
        raise ImportRequestError(
            f"{problem} There is no such job: check job_id, and cluster_id or the connection's host. Milvus forgets a "
            f"job some hours after its end (dataCoord.import.taskRetention); its outcome is then in the log of Milvus."
        )
    answer = response.json()
    if not isinstance(answer, dict) or code is None:
        raise unexpected(response, 'an object with a "code"')
    if code not in SUCCESS_CODES:
        raise ImportRequestError(f"{problem} Check {arguments}, and look the code up in Zilliz's documents.")
    data = answer.get("data")
    if not isinstance(data, dict):
        raise unexpected(response, 'an object with the object "data"')
    return data


def _is_unavailable(response: Response) -> bool:
    # In the whole message: a stack trace may be before the phrase.
    answer = response.parsed_or_none()
    return isinstance(answer, dict) and UNAVAILABLE_WORDS.search(str(answer.get("message"))) is not None


def unexpected(response: Response, expected: str) -> ImportProtocolError:
    """Return the error for an answer that is not what the API promises."""
    return response.unexpected(expected, "Zilliz or Milvus")


def progress_v1(job_id: str, data: dict[str, Any], response: Response) -> ImportProgress:
    """Return the progress of a job as v1 reports it."""
    files = _files(data, response)
    error = _error(data, files, "errorMessage", response)
    ready = as_number(data.get("readyPercentage"))
    if ready is not None and not 0 <= ready <= 100:
        ready = None
    if ready is None and error is None:
        raise unexpected(response, 'a "readyPercentage" from 0 to 1')
    # It is a fraction. Should 1 mean 1 %, it is the end even so: Zilliz's own clients stop there.
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
            "completeTime is set, but readyPercentage is not 1 and errorMessage is empty. The wait continues until "
            "one of them changes, or until its timeout: check the job in Zilliz Cloud's console."
        )
    if state is ImportState.SUCCEEDED and not is_over:
        warning = f"readyPercentage is {ready:g}, but completeTime is empty. The job counts as done."
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


def progress_v2(job_id: str, data: dict[str, Any], response: Response) -> ImportProgress:
    """Return the progress of a job as v2 and Milvus report it."""
    files = _files(data, response)
    status = as_text(data.get("state"))
    if status is None:
        raise unexpected(response, 'a "state"')
    shown = _state(status, response)
    state, warning = STATES.get(status), None
    if state is None:
        if data.get("completeTime"):
            raise unexpected(response, "a known state, because completeTime is set")
        state = ImportState.RUNNING
        warning = (
            f"Zilliz reports the state {response.excerpt(status, MAX_STATE_LENGTH)!r}, which this version does not "
            f"know. The wait continues until Zilliz reports Completed or Failed, or until its timeout."
        )
    if state is ImportState.SUCCEEDED and any(file.get("state") == "Failed" for file in files):
        raise unexpected(response, "a completed job without a failed file")
    total, imported = as_count(data.get("totalRows")), as_count(data.get("importedRows"))
    if state is ImportState.SUCCEEDED and total is not None and imported is not None and imported < total:
        # Milvus reports one number as both; the references call totalRows the rows of the whole collection.
        warning = (
            f"Zilliz reports a completed job with {imported:,} imported of {total:,} rows. That is usual where the "
            f"total counts the whole collection. If every row must be imported, set min_records."
        )
    percent = as_number(data.get("progress"))
    return ImportProgress(
        import_id=job_id,
        state=state,
        percent=percent if percent is not None and 0 <= percent <= 100 else None,
        total=total,
        processed=imported,
        imported=imported,
        vendor_status=shown,
        message=_error(data, files, "reason", response),
        started_at=as_moment(data.get("createTime")),
        finished_at=as_moment(data.get("completeTime")),
        warning=warning,
        details=_details(data, files, response),
    )


def has_ended(state: Any) -> bool | None:
    """
    Return whether a job is over by the state in a list, or None if that does not show it.

    :param state: The state, of v1 or v2.
    """
    name = as_text(state) or ""
    return STATES[name].is_final if name in STATES else HAS_ENDED_V1.get(name)


def _files(data: dict[str, Any], response: Response) -> list[dict[str, Any]]:
    files = data.get("details")
    if files is None:
        return []
    # Anything else than a list of objects could hide an error.
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise unexpected(response, 'a list of files as "details"')
    return files


def _error(data: dict[str, Any], files: list[dict[str, Any]], field: str, response: Response) -> str | None:
    """Return the error of the job, else that of a file, whatever its type, or None if there is none."""
    if data.get(field):
        return _error_text(data[field], response) or "no reason given"
    for file in files:
        if file.get(field):
            name = _name(file.get("fileName"), response) or "a file"
            return f"{name}: {_error_text(file[field], response) or 'no reason given'}"
    return None


def _details(data: dict[str, Any], files: list[dict[str, Any]], response: Response) -> dict[str, Any]:
    shown = sorted(files, key=lambda file: not (file.get("errorMessage") or file.get("reason")))[:MAX_SHOWN_FILES]
    return _without_empty(
        collection=_name(data.get("collectionName"), response),
        file_count=len(files),
        files=[
            _without_empty(
                name=_name(file.get("fileName"), response),
                state=_state(file.get("state"), response),
                imported_rows=as_count(file.get("importedRows")),
                total_rows=as_count(file.get("totalRows")),
                error=_error_text(file.get("errorMessage") or file.get("reason"), response),
            )
            for file in shown
        ],
    )


def _without_empty(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _name(value: Any, response: Response) -> str:
    return "" if value is None else response.name(str(value))


def _state(value: Any, response: Response) -> str:
    text = "" if value is None else str(value)
    return known_or_excerpt(text, response, is_known=text in STATES, length=MAX_STATE_LENGTH)


def _error_text(value: Any, response: Response) -> str:
    return "" if value is None else response.excerpt(str(value), MAX_ERROR_LENGTH)
