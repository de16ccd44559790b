# SPDX-License-Identifier: Apache-2.0
"""Defects in the module of a vendor: what they do to a start and to a poll, and how their errors lead to the cause."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from airflow_import_progress.exceptions import (
    ImportFileError,
    ImportPollError,
    ImportProgressError,
    ImportStartUnknownError,
)
from airflow_import_progress.hooks.lucca import LuccaHook, LuccaLeaveImport
from airflow_import_progress.http.exchange import Request
from airflow_import_progress.operators.lucca import LuccaLeaveImportOperator
from airflow_import_progress.progress import ImportProgress, ImportState

LEAVES = (
    b"legalEntity;employeeNumber;lastName;firstName;accountId;startDate;flagStartDate;endDate;flagEndDate;isApproved\n"
    b"Acme;1;Lovelace;Ada;2;01/02/2026;AM;02/02/2026;PM;true\n"
)
FORM = Request(method="GET", path="/form")


def start_by_requests(hook, conversation):
    return hook.start_import(conversation)


def start_by_aiohttp(hook, conversation):
    return asyncio.run(hook.astart_import(conversation))


@pytest.fixture(params=[start_by_requests, start_by_aiohttp])
def start(request, sandbox):
    """Return a function that runs a conversation that starts an import, by each of the transports."""
    return lambda conversation: request.param(LuccaHook(), conversation)


def defect_at_once():
    raise KeyError("reference")
    yield FORM


# A start


def test_after_a_defect_before_the_first_request_nothing_was_sent(start):
    with pytest.raises(ImportProgressError, match=r"KeyError: 'reference'.*No import was started") as caught:
        start(defect_at_once())
    assert caught.value.not_sent
    assert not caught.value.transient
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_that_a_conversation_raises_itself_before_the_first_request_may_be_transient(start):
    def conversation():
        raise ImportPollError("the vault is locked", transient=True)
        yield FORM

    with pytest.raises(ImportPollError, match="the vault is locked No import was started") as caught:
        start(conversation())
    assert (caught.value.not_sent, caught.value.transient) == (True, True)


def test_after_a_defect_behind_any_request_it_is_unknown_whether_an_import_was_started(start):
    def conversation():
        # A vendor may start an import with a GET.
        yield FORM
        raise KeyError("job_id")

    with pytest.raises(ImportStartUnknownError, match="KeyError: 'job_id'"):
        start(conversation())


def test_a_request_of_another_hook_counts_too(start):
    def conversation():
        with pytest.raises(ImportProgressError):
            LuccaHook().request("POST", "/upload")
        raise KeyError("job_id")
        yield FORM

    with pytest.raises(ImportStartUnknownError, match="KeyError: 'job_id'"):
        start(conversation())


def test_after_a_defect_of_a_conversation_that_had_begun_it_is_unknown_whether_an_import_was_started(start):
    def conversation():
        yield FORM
        raise KeyError("job_id")

    begun = conversation()
    next(begun)
    with pytest.raises(ImportStartUnknownError, match="KeyError: 'job_id'"):
        start(begun)


def test_a_value_in_place_of_a_conversation_may_be_that_of_a_start(start):
    with pytest.raises(ImportStartUnknownError, match=r"a conversation was expected.*it returned str"):
        start("job-1")


class DefectiveOperator(LuccaLeaveImportOperator):
    """A start that fails before its first request as long as it is defective."""

    is_defective = True

    def _upload(self, hook, file):
        return hook.start_import(defect_at_once()) if self.is_defective else super()._upload(hook, file)


def test_a_task_fails_after_a_defect_before_the_first_request_and_may_start_the_import_later(
    sandbox, operator_task, monkeypatch
):
    task = operator_task(DefectiveOperator, file=LEAVES)
    with pytest.raises(ImportProgressError, match=r"KeyError: 'reference'.*No import was started"):
        task.run()
    assert task.record is None
    assert sandbox.imports() == []
    monkeypatch.setattr(DefectiveOperator, "is_defective", False)
    sandbox.script_next_import("lucca", "leave", {"duration": 0})
    assert task.run()["state"] == "succeeded"
    assert len(sandbox.imports()) == 1


class StartInTwoSteps(LuccaLeaveImportOperator):
    """A start that has changed something at the vendor before it fails."""

    def _upload(self, hook, file):
        super()._upload(hook, file)
        self.second_step(hook)

    def second_step(self, hook):
        raise NotImplementedError


class DefectAfterTheStart(StartInTwoSteps):
    def second_step(self, hook):
        hook.start_import(defect_at_once())


class RefusalAfterTheStart(StartInTwoSteps):
    def second_step(self, hook):
        def conversation():
            response = yield Request(method="POST", path="/confirm")
            response.raise_for_status()

        hook.start_import(conversation())


class FileErrorAfterTheStart(StartInTwoSteps):
    def second_step(self, hook):
        raise ImportFileError("the second file is gone")


class UnreachableStorageAfterTheStart(StartInTwoSteps):
    def second_step(self, hook):
        raise ImportPollError("the storage refused the connection", transient=True, not_sent=True)


@pytest.mark.parametrize(
    "operator", [DefectAfterTheStart, RefusalAfterTheStart, FileErrorAfterTheStart, UnreachableStorageAfterTheStart]
)
def test_a_start_is_not_repeated_after_an_error_behind_its_first_change(sandbox, operator_task, operator):
    task = operator_task(operator, file=LEAVES)
    with pytest.raises(ImportStartUnknownError):
        task.run()
    assert len(sandbox.imports()) == 1
    assert task.record is not None


def test_an_error_that_was_not_sent_is_not_taken_for_that_after_an_accepted_request(start, sandbox):
    sandbox.add_fault({"status": 200, "body": "{}"}, path_contains="/jobs")

    def conversation():
        yield Request(method="POST", path="/jobs")
        raise ImportPollError("the storage refused the connection", transient=True, not_sent=True)

    with pytest.raises(ImportStartUnknownError):
        start(conversation())


# A poll


@dataclass(frozen=True)
class PollWithoutYield(LuccaLeaveImport):
    def poll(self, connection):
        return ImportProgress(import_id=self.import_id, state=ImportState.SUCCEEDED)


class AuthenticationWithoutYield(LuccaHook):
    def send_authenticated(self, request, connection):
        return request.with_headers({"Authorization": "x"})


def test_a_poll_without_yield_is_reported_as_such(sandbox, get_by):
    with pytest.raises(ImportProgressError, match=r"poll\(\).*'response = yield Request.*it returned ImportProgress"):
        get_by(LuccaHook(), PollWithoutYield("3c90"))


def test_a_poll_without_yield_is_reported_as_such_in_the_triggerer(sandbox):
    with pytest.raises(ImportProgressError, match="it returned ImportProgress"):
        asyncio.run(LuccaHook().afirst_request(PollWithoutYield("3c90")))


def test_an_authentication_without_yield_is_reported_as_such(sandbox, get_by):
    with pytest.raises(ImportProgressError, match=r"send_authenticated\(\).*it returned Request"):
        get_by(AuthenticationWithoutYield(), LuccaLeaveImport("3c90"))
