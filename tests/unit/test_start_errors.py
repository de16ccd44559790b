# SPDX-License-Identifier: Apache-2.0
"""The meaning of an error for a start: refused, certainly not sent, or unknown."""

from __future__ import annotations

import pytest

from airflow_import_progress.exceptions import (
    ImportFailedError,
    ImportPollError,
    ImportProgressError,
    ImportProtocolError,
    ImportRequestError,
    ImportStartRefusedError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks.errors import nothing_sent, translating_errors, translating_start_errors


def translated(error, *, is_after_change=False):
    error.is_after_change = is_after_change
    try:
        with translating_start_errors(None):
            raise error
    except (ImportProgressError, ImportStartRefusedError, ImportStartUnknownError) as raised:
        return type(raised)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, None])
def test_a_request_that_the_vendor_refuses_starts_nothing(status):
    assert translated(ImportRequestError("no", status=status)) is ImportStartRefusedError


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_redirect_may_follow_a_request_that_was_processed(status):
    assert translated(ImportRequestError("elsewhere", status=status)) is ImportStartUnknownError


@pytest.mark.parametrize(
    "error",
    [
        ImportPollError("broken", transient=True),
        ImportPollError("busy", transient=True, rate_limited=True, status=429),
        ImportProtocolError("odd"),
        ImportProgressError("a defect"),
    ],
)
def test_after_any_other_error_it_is_unknown_whether_an_import_was_started(error):
    assert translated(error) is ImportStartUnknownError


@pytest.mark.parametrize(("retry_after", "words"), [(None, "too many requests. It"), (30.0, "asks to wait 30 s. It")])
def test_the_message_after_a_rate_limit_explains_why_the_start_is_unknown(retry_after, words):
    error = ImportPollError("HTTP 429.", transient=True, rate_limited=True, status=429, retry_after=retry_after)
    with pytest.raises(ImportStartUnknownError, match=words) as caught, translating_start_errors(None):
        raise error
    assert "has probably started nothing, but does not document that" in str(caught.value)


@pytest.mark.parametrize("error_class", [ImportPollError, ImportRequestError])
def test_an_error_of_a_request_that_was_not_sent_may_be_retried(error_class):
    assert translated(error_class("refused", not_sent=True)) is error_class


def test_a_refusal_after_a_request_that_changed_something_is_unknown():
    assert translated(ImportRequestError("no", status=404), is_after_change=True) is ImportStartUnknownError


def test_an_import_that_has_failed_already_stays_a_failure():
    with pytest.raises(ImportFailedError), translating_start_errors(None):
        raise ImportFailedError("it failed")


def test_an_import_that_has_failed_already_names_the_connection():
    with pytest.raises(ImportFailedError) as caught, translating_errors("Lucca (connection 'x')", {}, tuple):
        raise ImportFailedError("it failed")
    assert str(caught.value) == "Lucca (connection 'x'): it failed"


def test_what_is_looked_up_before_a_request_was_not_sent():
    with pytest.raises(ImportPollError) as raised, nothing_sent():
        raise ImportPollError("the secrets backend did not answer")
    assert raised.value.not_sent
