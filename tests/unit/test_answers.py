# SPDX-License-Identifier: Apache-2.0
"""Fields of answers that are not of the type that was promised."""

from __future__ import annotations

import pendulum
import pytest

from airflow_import_progress.http.answers import as_address, as_count, as_flag, as_moment, as_number, as_text

FEBRUARY = pendulum.datetime(2026, 2, 17, 21, 54, 9)


@pytest.mark.parametrize(
    ("value", "count"), [(0, 0), (128, 128), ("128", 128), (" 7 ", 7), (50.0, 50), (2**53 + 1, 2**53 + 1)]
)
def test_reads_a_count(value, count):
    assert as_count(value) == count


@pytest.mark.parametrize(
    "value", [None, True, "", "many", "-1", -1, 0.5, "0.5", [], {}, float("nan"), float("inf"), "٣", "9" * 5000, 10**18]
)
def test_does_not_take_anything_else_for_a_count(value):
    assert as_count(value) is None


@pytest.mark.parametrize(("value", "number"), [(0, 0.0), ("0.5", 0.5), (1, 1.0), (-3, -3.0)])
def test_reads_a_number(value, number):
    assert as_number(value) == number


@pytest.mark.parametrize("value", [None, True, "", "half", "nan", "inf", float("nan"), [], 10**400])
def test_does_not_take_anything_else_for_a_number(value):
    assert as_number(value) is None


@pytest.mark.parametrize(
    ("value", "flag"),
    [(True, True), (False, False), ("true", True), ("False", False), (None, None), (1, None), (0, None), ("yes", None)],
)
def test_reads_a_truth_value(value, flag):
    assert as_flag(value) is flag


@pytest.mark.parametrize(
    ("value", "text"), [(" no space ", "no space"), ("", None), ("  ", None), (None, None), (7, None)]
)
def test_reads_a_text_that_says_something(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        "2026-02-17T21:54:09Z",
        "2026-02-17T22:54:09+01:00",
        "2026-02-17 21:54:09 UTC",
        "2026-02-17 21:54:09",
        "Tue, 17 Feb 2026 21:54:09 GMT",
        "17/02/2026 21:54:09",
        1771365249,
        1771365249000,
        "1771365249000",
    ],
)
def test_reads_a_point_in_time(value):
    assert as_moment(value) == FEBRUARY


def test_a_date_is_its_beginning():
    assert as_moment("2026-02-17") == FEBRUARY.start_of("day")


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "soon", "21:54", "P3D", "2026", 2026, 0, -5, True, [], "0000-00-00", "9" * 40, "x" * 10_000),
        *("now", "Friday", "May", "Feb 3", "monday 10"),
    ],
)
def test_does_not_take_anything_else_for_a_point_in_time(value):
    assert as_moment(value) is None


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://files.example/errors.csv", "https://files.example/errors.csv"),
        ("https://files.example:8443/e.csv?X-Signature=secret#page", "https://files.example:8443/e.csv"),
        ("https://user:secret@files.example/e.csv", "https://files.example/e.csv"),
    ],
)
def test_an_address_has_nothing_that_opens_the_file(value, address):
    assert as_address(value) == address


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        7,
        "errors.csv",
        "/errors.csv",
        "javascript:alert(1)",
        "ftp://files.example/errors.csv",
        "https://",
        "https://[",
        "https://a/\nb",
        "https://a/" + "b" * 3000,
    ],
)
def test_does_not_take_anything_else_for_an_address(value):
    assert as_address(value) is None
