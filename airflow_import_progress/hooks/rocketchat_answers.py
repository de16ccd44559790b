# SPDX-License-Identifier: Apache-2.0
"""The meaning of Rocket.Chat's answers: its errors, its rate limit and the steps of an import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_import_progress.vendor import (
    ImportPollError,
    ImportRequestError,
    ImportState,
    Response,
    as_flag,
    as_number,
    clock,
    known_or_excerpt,
)

#: Every step of the server's ``ImporterProgressStep``.
STATES: Mapping[str, ImportState] = {
    "importer_new": ImportState.PENDING,
    "importer_uploading": ImportState.RUNNING,
    "importer_downloading_file": ImportState.RUNNING,
    "importer_file_loaded": ImportState.ACTION_REQUIRED,
    "importer_preparing_started": ImportState.RUNNING,
    "importer_preparing_users": ImportState.RUNNING,
    "importer_preparing_channels": ImportState.RUNNING,
    "importer_preparing_messages": ImportState.RUNNING,
    "importer_preparing_contacts": ImportState.RUNNING,
    "importer_user_selection": ImportState.ACTION_REQUIRED,
    "importer_importing_started": ImportState.RUNNING,
    "importer_importing_users": ImportState.RUNNING,
    "importer_importing_channels": ImportState.RUNNING,
    "importer_importing_messages": ImportState.RUNNING,
    "importer_importing_contacts": ImportState.RUNNING,
    "importer_importing_files": ImportState.RUNNING,
    "importer_finishing": ImportState.RUNNING,
    "importer_done": ImportState.SUCCEEDED,
    "importer_import_failed": ImportState.FAILED,
    "importer_import_cancelled": ImportState.CANCELLED,
}
#: Newer servers may add steps with these prefixes, which are work in progress.
RUNNING_PREFIXES = ("importer_preparing_", "importer_importing_")

#: Parts of the messages of the server's database driver while the database is unavailable.
DATABASE_WORDS = re.compile(r"timed out|ECONN|not primary|topology|server selection|mongo", re.IGNORECASE)
WAIT_WORDS = re.compile(r"wait (\d{1,6}) seconds", re.ASCII)


def read_answer(response: Response) -> dict[str, Any]:
    """
    Return the body of a successful answer.

    :raises ImportPollError: if a later request may succeed.
    :raises ImportRequestError: if the request is refused, or the workspace has never had an import.
    :raises ImportProtocolError: if the body is not an object with ``"success": true``.
    """
    if is_no_import_ever(response):
        raise no_import_ever_error(response)
    if is_server_fault(response):
        raise server_fault_error(response)
    answer = response.json()
    if not isinstance(answer, dict) or as_flag(answer.get("success")) is not True:
        raise response.unexpected('an object with "success": true', "Rocket.Chat")
    return answer


def is_server_fault(response: Response) -> bool:
    """Return whether an answer with 400 or 401 reports a fault of the server itself."""
    # Rocket.Chat returns 400 for every exception. A refusal has an error type; a fault, such as a database failover,
    # has only a message.
    answer = response.parsed_or_none()
    if not isinstance(answer, dict) or answer.get("errorType"):
        return False
    if response.status == 401:
        # A log-in returns 401 for every exception, also if the database is unavailable.
        return not answer.get("error") and DATABASE_WORDS.search(str(answer.get("message"))) is not None
    is_refused = str(answer.get("error")).startswith("error-")
    return response.status == 400 and as_flag(answer.get("success")) is False and not is_refused


def server_fault_error(response: Response) -> ImportPollError:
    """Return the error for a fault of the server itself."""
    return response.poll_error(
        f"{response.request_line} returned HTTP {response.status} without an error type, as for a fault of the "
        f"server itself: {response.error_text().rstrip('.')}."
    )


def is_no_import_ever(response: Response) -> bool:
    """Return whether an answer reports that the workspace has never had an import."""
    answer = response.parsed_or_none()
    return (
        response.status == 400
        and isinstance(answer, dict)
        and "error-operation-not-found" in (answer.get("errorType"), answer.get("error"))
    )


def no_import_ever_error(response: Response) -> ImportRequestError:
    """Return the error for a workspace that has never had an import."""
    return ImportRequestError(
        f"{response.request_line} reports that this workspace has never had an import. Check that the task which "
        f"starts the import did so, and that the connection is for the workspace where it was started."
    )


def read_step(step: str, response: Response) -> tuple[ImportState, str, str | None]:
    """Return the state that a step means, the step for display, and a warning if the step is unknown."""
    shown = known_or_excerpt(step, response, is_known=step in STATES)
    if step in STATES:
        return STATES[step], shown, None
    if step.startswith(RUNNING_PREFIXES):
        return ImportState.RUNNING, shown, None
    return (
        ImportState.RUNNING,
        shown,
        f"Rocket.Chat reports the step {response.redacted(step)[:100]!r}, which this version of the provider does not "
        f"know. The wait continues, and only the step 'importer_done' ends it with success.",
    )


def normalize_retry_after(response: Response) -> Response:
    """Return a 429 with ``Retry-After``, which Rocket.Chat reports in its message or in a header of its own."""
    if response.status != 429 or response.retry_after is not None:
        return response
    # The message first: it does not depend on the clocks of two machines.
    if words := WAIT_WORDS.search(response.error_text()):
        return response.with_retry_after(float(words[1]))
    reset_ms = as_number(response.headers.get("x-ratelimit-reset")) or 0.0
    seconds = reset_ms / 1000 - clock.current.time()
    # A time in the past is ignored: with it every wait would poll again at once, and be refused again.
    return response.with_retry_after(seconds) if seconds > 0 else response
