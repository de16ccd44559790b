# SPDX-License-Identifier: Apache-2.0
"""A person opens Airflow in a browser and finds the waits."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.ui.browsing import Waits


def test_a_person_is_logged_in_and_finds_the_wait(page: Page, waits: Waits) -> None:
    page.goto(waits.path_of("lucca"))
    expect(page.get_by_text("Deferred").first).to_be_visible()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_airflow_looks_as_the_person_prefers(page: Page, color_scheme: str) -> None:
    expect(page.locator("html")).to_have_class(re.compile(rf"\b{color_scheme}\b"))
