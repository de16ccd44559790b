# SPDX-License-Identifier: Apache-2.0
"""The record of a watcher, and triggers on an Airflow without watchers."""

from __future__ import annotations

import pytest

from airflow_import_progress.compat import has_asset_watchers
from airflow_import_progress.hooks.rocketchat import RocketChatImport
from airflow_import_progress.imports import ListedImport
from airflow_import_progress.progress import ImportProgress, ImportState
from airflow_import_progress.triggers.ended_imports import MAX_UNLISTED, EndedImports, kept
from airflow_import_progress.triggers.import_end import _Unreported
from airflow_import_progress.triggers.rocketchat import RocketChatImportEndTrigger
from airflow_import_progress.waiting.listing import Listing


def test_all_listed_imports_are_kept():
    listed = [str(number) for number in range(MAX_UNLISTED + 100)]
    assert kept(listed, listed) == listed


def test_the_newest_of_those_that_are_not_listed_any_more_are_kept():
    ended = [str(number) for number in range(MAX_UNLISTED + 2)]
    assert kept(ended, ["0"]) == ["0", *ended[2:]]


def test_an_import_is_kept_once():
    assert kept(["a", "b", "a"], []) == ["a", "b"]


def test_the_places_of_two_watchers_differ():
    one, other = (EndedImports({"conn_id": conn_id}, None, 1).stored_in for conn_id in ("one", "other"))
    assert one != other


@pytest.mark.skipif(has_asset_watchers(), reason="before Airflow 3.0")
def test_an_airflow_without_watchers_is_named():
    with pytest.raises(RuntimeError, match="earlier versions have no AssetWatcher"):
        RocketChatImportEndTrigger()


def listed(*imports):
    return Listing(
        [ListedImport(import_=RocketChatImport(operation_id=name), **rest) for name, rest in imports], "here"
    )


RUNNING = {"has_ended": False}
ENDED = {"has_ended": True, "progress": ImportProgress(import_id="a", state=ImportState.FAILED)}


def test_an_import_that_has_ended_is_kept_until_it_is_reported_although_it_is_not_listed_any_more():
    unreported = _Unreported()
    unreported.update(listed(("a", ENDED)), ())
    unreported.update(listed(("b", RUNNING)), ())
    assert [found.import_.import_id for found in unreported.in_turn()] == ["a"]


def test_an_import_that_is_run_again_before_it_is_reported_is_not_reported_as_ended():
    unreported = _Unreported()
    unreported.update(listed(("a", ENDED)), ())
    unreported.update(listed(("a", RUNNING)), ())
    assert unreported.in_turn() == []


def test_an_import_that_is_not_listed_any_more_and_has_no_progress_is_dropped():
    unreported = _Unreported()
    unreported.update(listed(("a", {"has_ended": True})), ())
    unreported.update(listed(), ())
    assert unreported.in_turn() == []
