# SPDX-License-Identifier: Apache-2.0
"""The record of a watcher, and triggers on an Airflow without watchers."""

from __future__ import annotations

import pytest

from airflow_import_progress.compat import has_asset_watchers
from airflow_import_progress.triggers.ended_imports import MAX_UNLISTED, EndedImports, kept
from airflow_import_progress.triggers.rocketchat import RocketChatImportEndTrigger


def test_all_listed_imports_are_kept():
    listed = [str(number) for number in range(MAX_UNLISTED + 100)]
    assert kept(listed, listed) == listed


def test_the_newest_of_those_that_are_not_listed_any_more_are_kept():
    ended = [str(number) for number in range(MAX_UNLISTED + 2)]
    assert kept(ended, ["0"]) == ["0", *ended[2:]]


def test_an_import_is_kept_once():
    assert kept(["a", "b", "a"], []) == ["a", "b"]


def test_the_places_of_two_watchers_differ():
    one, other = (EndedImports({"conn_id": conn_id}, None, 1).place for conn_id in ("one", "other"))
    assert one != other


@pytest.mark.skipif(has_asset_watchers(), reason="before Airflow 3.0")
def test_an_airflow_without_watchers_is_named():
    with pytest.raises(RuntimeError, match="earlier versions have no AssetWatcher"):
        RocketChatImportEndTrigger()
