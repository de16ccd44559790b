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
from airflow_import_progress.hooks.errors import nothing_sent, translating_start_errors


def translated(error, *, is_after_change=False):
    error.is_after_change = is_after_change
    try:
        with translating_start_errors():
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


@pytest.mark.parametrize("error_class", [ImportPollError, ImportRequestError])
def test_an_error_of_a_request_that_was_not_sent_may_be_retried(error_class):
    assert translated(error_class("refused", not_sent=True)) is error_class


def test_a_refusal_after_a_request_that_changed_something_is_unknown():
    assert translated(ImportRequestError("no", status=404), is_after_change=True) is ImportStartUnknownError


def test_an_import_that_has_failed_already_stays_a_failure():
    with pytest.raises(ImportFailedError), translating_start_errors():
        raise ImportFailedError("it failed")


def test_what_is_looked_up_before_a_request_was_not_sent():
    with pytest.raises(ImportPollError) as raised, nothing_sent():
        raise ImportPollError("the secrets backend did not answer")
    assert raised.value.not_sent
