# SPDX-License-Identifier: Apache-2.0
"""What a wait publishes: that it survives its way through Airflow's database, and that it stays small."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.waiting.published import (
    MAX_HISTORY_POINTS,
    History,
    PublishedProgress,
    PublishedStart,
    PublishedStartState,
)

PUBLISHED = PublishedProgress(
    try_number=2,
    vendor="Lucca",
    conn_id="lucca_default",
    label="Lucca leave import",
    import_id="3c90",
    waiting_since=1_800_000_000.0,
    deadline=1_800_003_600.0,
    polled_at=1_800_000_060.0,
    progress=ImportProgress(import_id="3c90", state=ImportState.RUNNING, percent=62).to_dict(),
    history=((1_800_000_000.0, 10.0), (1_800_000_060.0, 62.0)),
)


STARTING = PublishedProgress(
    try_number=1,
    vendor="Lucca",
    conn_id="lucca_default",
    label="Lucca leave import",
    import_id=None,
    waiting_since=1_800_000_000.0,
    deadline=None,
    polled_at=None,
    error="the file 'é.csv' does not exist",
    start=PublishedStart(state=PublishedStartState.STARTING, sent_at=1_800_000_000.5, content="the file 'é.csv'"),
)


def history_of(*points):
    history = History()
    for point in points:
        history.add(*point)
    return history


@pytest.mark.parametrize("published", [PUBLISHED, STARTING], ids=["wait", "start"])
def test_it_survives_json(published):
    assert PublishedProgress.from_dict(json.loads(json.dumps(published.to_dict()))) == published


def test_what_was_published_before_starts_were_is_read():
    before = {name: value for name, value in PUBLISHED.to_dict().items() if name != "start"}
    assert PublishedProgress.from_dict(before) == PUBLISHED


def test_the_states_of_a_start_stay_as_they_are():
    # Those of XComs that Airflow has stored already.
    assert [state.value for state in PublishedStartState] == [
        "starting",
        "started",
        "not_awaited",
        "failed",
        "unknown",
        "not_started",
    ]


def test_what_a_later_version_adds_to_a_start_is_ignored():
    later = STARTING.to_dict()
    later["start"]["mood"] = "fine"
    assert PublishedProgress.from_dict(later) == STARTING


def test_what_a_later_version_adds_is_ignored():
    assert PublishedProgress.from_dict({**PUBLISHED.to_dict(), "mood": "fine"}) == PUBLISHED


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        {},
        [PUBLISHED.to_dict()],
        {**PUBLISHED.to_dict(), "progress": {"state": "unheard of"}},
        {**PUBLISHED.to_dict(), "history": 7},
        {**PUBLISHED.to_dict(), "history": [["now", 3]]},
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match=r"what a wait publishes|progress|could not convert"):
        PublishedProgress.from_dict(value)


def test_a_history_has_what_was_seen():
    assert history_of((0, 10), (60, 20), (120, 35)).points == [(0, 10), (60, 20), (120, 35)]


def test_of_a_standstill_only_the_ends_are_kept():
    assert history_of((0, 10), (60, 10), (120, 10), (180, 20)).points == [(0, 10), (120, 10), (180, 20)]


def test_a_long_history_stays_small_and_keeps_its_ends():
    history = History()
    for at in range(10_000):
        history.add(at, at / 100)
        assert len(history.points) <= MAX_HISTORY_POINTS
    assert (history.points[0], history.points[-1]) == ((0, 0), (9999, 99.99))
    gaps = [after[0] - before[0] for before, after in zip(history.points, history.points[1:], strict=False)]
    assert len(gaps) >= MAX_HISTORY_POINTS // 4
    assert max(gaps) < 9999 / 10


def test_a_history_goes_on_from_an_earlier_one():
    history = history_of((120, 35))
    history.go_on_from([(0, 10), (60, 20), (120, 30)])
    assert history.points == [(0, 10), (60, 20), (120, 30)]


@pytest.mark.parametrize("start", ["starting", {}, {"state": "unheard of"}])
def test_a_start_of_another_version_does_not_hide_the_rest(start):
    assert PublishedProgress.from_dict({**PUBLISHED.to_dict(), "start": start}) == replace(PUBLISHED, start=None)


def test_numbers_that_json_does_not_have_are_published_as_none():
    progress = {**PUBLISHED.progress, "details": {"success_rate": float("nan"), "rates": [1.0, float("inf")]}}
    values = replace(PUBLISHED, progress=progress, percent_per_minute=float("inf")).to_dict()
    assert values["percent_per_minute"] is None
    assert values["progress"]["details"] == {"success_rate": None, "rates": [1.0, None]}
