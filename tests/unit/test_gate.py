# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from airflow_import_progress.gate import Decision, Gate
from airflow_import_progress.progress import ImportProgress, ImportState


def judge(gate, state, **values):
    return gate.judge(ImportProgress(import_id="i-1", state=state, **values))


@pytest.mark.parametrize(
    ("state", "decision"),
    [
        (ImportState.PENDING, Decision.WAIT),
        (ImportState.RUNNING, Decision.WAIT),
        (ImportState.ACTION_REQUIRED, Decision.WAIT),
        (ImportState.SUCCEEDED, Decision.PASS),
        (ImportState.FAILED, Decision.FAIL),
        (ImportState.CANCELLED, Decision.FAIL),
    ],
)
def test_only_a_succeeded_import_passes(state, decision):
    assert judge(Gate(), state).decision is decision


def test_a_failure_repeats_the_vendors_words():
    verdict = judge(Gate(), ImportState.FAILED, vendor_status=-1, message="schema mismatch")
    assert verdict.reason == "failed at the vendor (status -1: schema mismatch)"


def test_a_failure_without_any_words_says_so():
    assert judge(Gate(), ImportState.FAILED).reason == "failed at the vendor (it gave no reason)"


def test_an_import_that_needs_an_action_fails_if_asked_to():
    verdict = judge(Gate(on_action_required="fail"), ImportState.ACTION_REQUIRED, vendor_status="user_selection")
    assert verdict.decision is Decision.FAIL_FOR_ACTION
    assert "'user_selection'" in verdict.reason


@pytest.mark.parametrize(
    ("failed", "decision"),
    [(0, Decision.PASS), (3, Decision.PASS), (4, Decision.FAIL), (None, Decision.FAIL)],
)
def test_max_failed_records_must_be_known_and_kept(failed, decision):
    assert judge(Gate(max_failed_records=3), ImportState.SUCCEEDED, failed=failed).decision is decision


@pytest.mark.parametrize(
    ("failed", "processed", "decision"),
    [
        (0, 100, Decision.PASS),
        (5, 100, Decision.PASS),
        (6, 100, Decision.FAIL),
        (0, 0, Decision.PASS),
        (1, 0, Decision.FAIL),
        (200, 100, Decision.FAIL),
        (None, 100, Decision.FAIL),
        (0, None, Decision.FAIL),
    ],
)
def test_min_success_rate_must_be_known_and_reached(failed, processed, decision):
    verdict = judge(Gate(min_success_rate=95), ImportState.SUCCEEDED, failed=failed, processed=processed)
    assert verdict.decision is decision


def test_min_success_rate_looks_at_the_processed_records_alone():
    verdict = judge(Gate(min_success_rate=95), ImportState.SUCCEEDED, failed=6, processed=100, total=1000)
    assert verdict.decision is Decision.FAIL


def test_a_rate_that_is_just_too_low_is_not_shown_as_the_one_demanded():
    verdict = judge(Gate(min_success_rate=100), ImportState.SUCCEEDED, failed=1, processed=10**6)
    assert verdict.reason.startswith("imported 99.99 % of 1,000,000 processed records, 1 of which failed")


def test_too_many_failed_records_name_the_error_file():
    details = {"error_file": "https://files.example/errors.csv"}
    verdict = judge(Gate(max_failed_records=0), ImportState.SUCCEEDED, failed=2, vendor_status="done", details=details)
    assert verdict.reason == (
        "ended with 2 failed records where max_failed_records allows 0 "
        "(status 'done'; error file: https://files.example/errors.csv)"
    )


def test_record_counts_are_judged_only_at_the_end():
    assert judge(Gate(max_failed_records=0), ImportState.RUNNING, failed=7).decision is Decision.WAIT


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("max_failed_records", -1),
        ("max_failed_records", 1.5),
        ("max_failed_records", True),
        ("max_failed_records", "3"),
        ("min_success_rate", 101),
        ("min_success_rate", 0.9),
        ("min_success_rate", -0.1),
        ("min_success_rate", float("nan")),
        ("min_success_rate", "95"),
        ("min_success_rate", True),
        ("on_action_required", "ignore"),
    ],
)
def test_refuses_an_argument_outside_its_range_by_name(argument, value):
    with pytest.raises(ValueError, match=argument):
        Gate(**{argument: value})


def test_is_made_again_from_what_a_trigger_stores():
    gate = Gate(max_failed_records=3, min_success_rate=95, on_action_required="fail")
    assert Gate(**gate.to_dict()) == gate
