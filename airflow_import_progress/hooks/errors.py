# SPDX-License-Identifier: Apache-2.0
"""The errors of a hook: their messages for whoever is on call, and their meaning for a start."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportFileError,
    ImportProgressError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.http.conversation import changes
from airflow_import_progress.http.exchange import redacted
from airflow_import_progress.http.transport import requests_begun

#: The advice for an HTTP status, where the vendor's hook has none of its own.
STATUS_ADVICE: Mapping[int, str] = {
    401: "Check the credentials in the connection.",
    403: "Give the connection's user or key the permission to read imports.",
    404: "Check the import's identifier and the connection's host.",
}


@contextmanager
def translating_errors(
    subject: str, status_advice: Mapping[int, str], secrets: Callable[[], Iterable[str]]
) -> Iterator[None]:
    """
    Add the subject and an advice to errors, and turn defects into errors of this package.

    :param subject: The import or the connection.
    :param status_advice: The vendor's advice for an HTTP status.
    :param secrets: Returns the texts that must not appear in a message.
    """
    try:
        yield
    except ImportProgressError as error:
        parts = [f"{subject}: {error}"]
        if error.status is not None and not error.transient:
            parts.append({**STATUS_ADVICE, **status_advice}.get(error.status, ""))
        # Without the cause, because its text is of a library and may contain an address with credentials.
        raise error.reworded(" ".join(filter(None, parts))) from None
    except ImportFailedError as error:
        # The same error, because a vendor's module may have a class of its own.
        error.args = (f"{subject}: {error}",)
        raise
    except (ImportFileError, ImportStartRefusedError):
        raise
    except Exception as error:
        # A defect, so its traceback is kept. As an error of this package it has the same effect in every mode. Its text
        # may be of a library and contain its arguments, while a vendor's texts are redacted when they are read.
        words = redacted(f"{type(error).__name__}: {error}", secrets())
        raise ImportProgressError(f"{subject}: {words}. This is a defect: please report it.") from error


#: The number of changes by this process when the start began whose errors are translated; None: outside of a start.
_changes_at_start: ContextVar[int | None] = ContextVar("changes_at_start", default=None)


@contextmanager
def guarding_start() -> Iterator[None]:
    """
    Let no error claim that nothing was started after a request of the same start may have changed something.

    :raises ImportStartUnknownError: instead of such an error.
    """
    token = _changes_at_start.set(changes.number)
    try:
        yield
    except (ImportFileError, ImportProgressError) as error:
        claims_nothing = isinstance(error, ImportFileError) or error.not_sent
        if claims_nothing and not _nothing_has_changed():
            raise ImportStartUnknownError(str(error)) from error
        raise
    finally:
        _changes_at_start.reset(token)


def _nothing_has_changed() -> bool:
    return _changes_at_start.get() in (None, changes.number)


@contextmanager
def translating_start_errors(conversation: object) -> Iterator[None]:
    """
    Turn the errors of requests into those of a start.

    :param conversation: The conversation that starts the import.
    """
    # One that has begun, and what is not a conversation at all, may have sent something before.
    begins_here = inspect.isgenerator(conversation) and inspect.getgeneratorstate(conversation) == inspect.GEN_CREATED
    begun_before = requests_begun.number
    is_first = _nothing_has_changed()
    try:
        yield
    except ImportProgressError as error:
        if error.not_sent and is_first:
            raise
        # A redirect may follow a request that was processed.
        is_redirect = error.status is not None and 300 <= error.status < 400
        is_refusal = isinstance(error, ImportRequestError) and not error.is_after_change and not is_redirect
        if is_refusal and is_first:
            raise ImportStartRefusedError(f"{error} No import was started.") from None
        # Any request counts, also one that reads and one of another hook, to be sure.
        if begins_here and is_first and requests_begun.number == begun_before:
            certain = error.reworded(f"{error} No import was started, because no request had been sent before.")
            certain.not_sent = True
            # With the traceback of a defect.
            raise certain from error.__cause__
        words = str(error)
        if error.rate_limited:
            wait = "" if error.retry_after is None else f" and asks to wait {error.retry_after:.0f} s"
            words = (
                f"{words} The vendor gets too many requests{wait}. It has probably started nothing, but does not "
                f"document that. If this happens again, give the tasks that use this connection a pool with few slots."
            )
        raise ImportStartUnknownError(words) from None


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Mark errors as those of requests that were certainly not sent."""
    try:
        yield
    except ImportProgressError as error:
        error.not_sent = True
        raise
