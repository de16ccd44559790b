# SPDX-License-Identifier: Apache-2.0
"""The course of a simulated import, at times that the test chooses."""

from __future__ import annotations

import math
from typing import Any

import pytest

from airflow_import_progress.sandbox.checks import InvalidInputError
from airflow_import_progress.sandbox.script import Script


def script(**fields: Any) -> Script:
    return Script.from_json(fields, default_duration=20.0)


@pytest.mark.parametrize(("elapsed", "progress"), [(0, 0), (5, 25), (10, 50), (20, 100), (1e9, 100)])
def test_progress_grows_evenly_over_the_default_duration(elapsed: float, progress: float) -> None:
    assert script().progress_at(elapsed) == progress


def test_duration_replaces_the_default() -> None:
    assert script(duration=4).progress_at(1) == 25


@pytest.mark.parametrize("duration", [0.1, 1.0, 3.0, 20.0, 1e6])
def test_100_is_never_reached_before_the_end(duration: float) -> None:
    just_before = math.nextafter(duration, 0)
    assert int(script(duration=duration).progress_at(just_before)) == 99


def test_a_duration_of_zero_is_over_at_once() -> None:
    assert script(duration=0).progress_at(0) == 100


@pytest.mark.parametrize(("elapsed", "progress"), [(0, 0), (11.9, 59.5), (12, -1), (20, -1), (1e9, -1)])
def test_fail_at_grows_to_that_percent_and_then_fails_for_ever(elapsed: float, progress: float) -> None:
    assert script(fail_at=60).progress_at(elapsed) == pytest.approx(progress)


def test_fail_at_0_fails_at_once() -> None:
    assert script(fail_at=0).progress_at(0) == -1


def test_fail_at_100_fails_instead_of_succeeding() -> None:
    assert script(fail_at=100).progress_at(20) == -1


@pytest.mark.parametrize(
    ("elapsed", "progress"), [(0, 10), (2, 10), (3, 20), (4, 30), (5, 80), (6, 80), (8, 40), (9, 40)]
)
def test_points_are_interpolated_and_may_jump_and_fall(elapsed: float, progress: float) -> None:
    points = [[2, 10], [4, 30], [5, 30], [5, 80], [6, 80], [8, 40]]
    assert script(points=points).progress_at(elapsed) == progress


def test_answers_are_given_in_turn_and_the_last_one_for_ever() -> None:
    answers = [0, {"progress": "?"}, None, 100]
    given = [script(answers=answers).answer_at(poll) for poll in range(6)]
    assert given == [0, {"progress": "?"}, None, 100, 100, 100]


@pytest.mark.parametrize(("elapsed", "reached"), [(0, 0), (6, 30), (12, 60), (1e9, 60)])
def test_a_failure_does_not_reset_the_reached_progress(elapsed: float, reached: float) -> None:
    assert script(fail_at=60).reached_at(elapsed) == pytest.approx(reached)


def test_the_reached_progress_excludes_later_points() -> None:
    assert script(points=[[0, 40], [0, -1], [10, -1], [10, 90]]).reached_at(5) == 40


def test_a_script_that_only_fails_reaches_nothing() -> None:
    assert script(points=[[0, -1]]).reached_at(5) == 0


def test_an_import_has_a_thousand_records_without_failures_by_default() -> None:
    assert (script().records, script().failed_records, script().reason) == (1000, 0, None)


def test_records_and_the_reason_of_a_failure_go_with_any_course() -> None:
    said = {"records": 0, "failed_records": 0, "reason": "disk full"}
    for course in ({"fail_at": 5}, {"points": [[0, 1]]}, {"answers": [1]}):
        made = script(**said, **course)
        assert (made.records, made.failed_records, made.reason) == (0, 0, "disk full")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"records": -1}, "script.records: must be an integer of at least 0"),
        ({"records": 1.5}, "script.records: must be an integer of at least 0"),
        ({"records": 3, "failed_records": 4}, "script.failed_records: must not be more than records, which is 3"),
        ({"failed_records": "2"}, "script.failed_records: must be an integer of at least 0"),
        ({"reason": ""}, "script.reason: must be a string that is not empty"),
        ({"duration": -1}, "script.duration: must be a number of at least 0"),
        ({"duration": "20"}, "script.duration: must be a number of at least 0"),
        ({"duration": True}, "script.duration: must be a number of at least 0"),
        ({"duration": math.inf}, "script.duration: must be a number of at least 0"),
        ({"duration": math.nan}, "script.duration: must be a number of at least 0"),
        ({"duration": 10**400}, "script.duration: must be a number of at least 0"),
        ({"records": 10**400}, "script.records: must be an integer of at least 0"),
        ({"fail_at": 101}, "script.fail_at: must be a number from 0 to 100"),
        ({"points": []}, "script.points: must be a list of [seconds, progress] that is not empty"),
        ({"points": [[0, 0], 5]}, "script.points[1]: must be [seconds, progress]"),
        ({"points": [[5, 0], [4, 1]]}, "script.points[1][0]: must not be before the point in front of it"),
        ({"points": [[0, "x"]]}, "script.points[0][1]: must be a number"),
        ({"answers": []}, "script.answers: must be a list of JSON values that is not empty"),
        ({"answers": 5}, "script.answers: must be a list of JSON values that is not empty"),
        ({"answers": [1], "duration": 3}, "script.answers: cannot be combined with duration"),
        ({"points": [[0, 0]], "fail_at": 3}, "script.points: cannot be combined with fail_at"),
        ({"dration": 3}, "script.dration: unknown"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        script(**fields)
    assert str(caught.value).startswith(message)


def test_an_answer_that_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"script\.answers\[1\]: cannot be sent as JSON"):
        script(answers=[1, object()])
