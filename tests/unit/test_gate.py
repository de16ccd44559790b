# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.gate import Decision, Gate
from airflow_import_progress.waiting.rules import WaitRules


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


def test_min_success_rate_counts_only_processed_records():
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


@pytest.mark.parametrize(
    ("counts", "decision"),
    [
        ({"processed": 10, "failed": 0}, Decision.PASS),
        ({"processed": 12, "failed": 2}, Decision.PASS),
        ({"processed": 10, "failed": 1}, Decision.FAIL),
        ({"processed": 0, "failed": 0}, Decision.FAIL),
        ({"processed": 5, "failed": 20}, Decision.FAIL),
        ({"processed": 10}, Decision.FAIL),
        ({"failed": 0}, Decision.FAIL),
        ({"total": 10}, Decision.FAIL),
        ({}, Decision.FAIL),
        ({"imported": 10}, Decision.PASS),
        ({"imported": 9, "processed": 10, "failed": 0}, Decision.FAIL),
    ],
)
def test_min_records_must_be_known_and_reached(counts, decision):
    assert judge(Gate(min_records=10), ImportState.SUCCEEDED, **counts).decision is decision


def test_an_empty_import_passes_the_other_limits_and_not_min_records():
    empty = {"total": 0, "processed": 0, "failed": 0}
    others = {"max_failed_records": 0, "min_success_rate": 100}
    assert judge(Gate(**others), ImportState.SUCCEEDED, **empty).decision is Decision.PASS
    verdict = judge(Gate(**others, min_records=1), ImportState.SUCCEEDED, vendor_status="done", **empty)
    assert verdict.reason == "imported 0 records where min_records demands 1 (status 'done')"


def test_a_vendor_without_counts_is_named_as_the_reason():
    verdict = judge(Gate(min_records=1), ImportState.SUCCEEDED)
    assert verdict.reason == (
        "succeeded, but the vendor reports no count of imported records, which min_records needs: leave it out, or "
        "check the import at the vendor"
    )


def test_cannot_be_subclassed_because_a_trigger_would_judge_by_the_base():
    with pytest.raises(TypeError, match="Gate cannot be subclassed"):
        type("Stricter", (Gate,), {})


def test_a_share_that_looks_like_a_fraction_is_refused_with_the_percentage_to_write():
    with pytest.raises(ValueError, match=r"1 would demand at most 1 %.* write 100$"):
        Gate(min_success_rate=1)
    with pytest.raises(ValueError, match=r"write 95$"):
        Gate(min_success_rate=0.95)
    assert Gate(min_success_rate=1.01)


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
        ("min_success_rate", 1),
        ("min_success_rate", 1.0),
        ("min_records", 0),
        ("min_records", -1),
        ("min_records", 1.5),
        ("min_records", True),
        ("min_records", "1"),
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
    gate = Gate(max_failed_records=3, min_success_rate=95, min_records=7, on_action_required="fail")
    assert WaitRules.from_dict(WaitRules(poke_interval=60, gate=gate).to_dict()).gate == gate
