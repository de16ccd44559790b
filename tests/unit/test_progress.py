# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import datetime

import pendulum
import pytest

from airflow_import_progress.progress import ImportProgress, ImportState


def progress(**values):
    return ImportProgress(**{"import_id": "i-1", "state": ImportState.RUNNING, **values})


def test_survives_json_both_ways():
    told = progress(
        percent=42,
        total=50_000,
        processed=21_000,
        failed=12,
        vendor_status="importing",
        message="line 3 is odd",
        started_at=pendulum.datetime(2026, 2, 17, 21, 54, 9, tz="Europe/Paris"),
        finished_at=pendulum.datetime(2026, 2, 17, 22, tz="UTC"),
        details={"error_file": "https://files.example/errors.csv", "files": ["a", "b"]},
    )
    assert ImportProgress.from_dict(json.loads(json.dumps(told.to_dict()))) == told


def test_is_read_from_its_required_keys_alone():
    assert ImportProgress.from_dict({"import_id": "i-1", "state": "running"}) == progress()


def test_ignores_keys_of_a_later_version():
    assert ImportProgress.from_dict(progress().to_dict() | {"colour": "blue"}) == progress()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"import_id": "i-1"},
        {"state": "succeeded"},
        {"import_id": None, "state": "succeeded"},
        {"import_id": "i-1", "state": "excellent"},
        {"import_id": "i-1", "state": None},
        {"import_id": "i-1", "state": "running", "percent": "42"},
        {"import_id": "i-1", "state": "running", "percent": float("nan")},
        {"import_id": "i-1", "state": "running", "failed": -1},
        {"import_id": "i-1", "state": "running", "failed": 1.5},
        {"import_id": "i-1", "state": "running", "total": True},
        {"import_id": "i-1", "state": "running", "started_at": "yesterday-ish"},
        {"import_id": "i-1", "state": "running", "started_at": 5},
        {"import_id": "i-1", "state": "running", "details": "none"},
    ],
)
def test_refuses_what_is_not_a_progress(values):
    with pytest.raises(ValueError, match=r"."):
        ImportProgress.from_dict(values)


@pytest.mark.parametrize("values", [None, "succeeded", 100, ["succeeded"]])
def test_refuses_what_is_not_a_dict(values):
    with pytest.raises(ValueError, match="not an import's progress"):
        ImportProgress.from_dict(values)


@pytest.mark.parametrize(("given", "kept"), [(-5, 0.0), (0, 0.0), (42, 42.0), (131.5, 100.0)])
def test_clamps_the_percentage(given, kept):
    assert progress(percent=given).percent == kept


def test_refuses_a_time_without_time_zone():
    with pytest.raises(ValueError, match="started_at must have a time zone"):
        progress(started_at=datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"percent": 42}, "[########------------] 42 % · running"),
        ({"percent": 0, "state": ImportState.PENDING}, "[--------------------] 0 % · pending"),
        ({"percent": 100, "state": ImportState.SUCCEEDED}, "[####################] 100 % · succeeded"),
        ({"percent": 99.9}, "[###################-] 99 % · running"),
        ({}, "[--------------------] ? % · running"),
        (
            {"percent": 62, "total": 50_000, "processed": 31_000, "failed": 12},
            "[############--------] 62 % · running · 31,000 of 50,000 records · 12 failed",
        ),
        ({"processed": 1200}, "[--------------------] ? % · running · 1,200 records"),
    ],
)
def test_prints_itself_as_one_line_with_a_bar(values, line):
    assert str(progress(**values)) == line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (5, "less than a minute left"),
        (61, "about 1 minute left"),
        (180, "about 3 minutes left"),
        (3 * 3600, "about 3 hours left"),
        (5 * 86400, "about 5 days left"),
    ],
)
def test_describes_an_estimate_in_rounded_units(seconds, words):
    assert progress(percent=42).describe(seconds).endswith(f" · {words}")
