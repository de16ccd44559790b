# SPDX-License-Identifier: Apache-2.0
"""Imports at the vendors of other packages, which are shown as those at the vendors of this one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, StorageState, expect

from airflow_import_progress.links import ImportLink
from airflow_import_progress.sandbox import Sandbox
from tests.e2e.ui.browsing import Waits, open_window, percent, row
from tools.local_airflow import LocalAirflow

#: What the imports are. A test that looks at the growing one has a quarter of an hour.
SCRIPTS = {
    "growing": ("acme", "job", {"points": [[0, 5], [60, 35], [900, 90]]}),
    "failing": ("acme", "job", {"points": [[0, -1]]}),
    "without_workers": ("acme", "job", {"points": [[0, 55], [600, 60]]}),
    "without_percent": ("gitlab", "project", {"points": [[0, 50], [3600, 50]]}),
}


@pytest.fixture(scope="module")
def imports(airflow: LocalAirflow, sandbox: Sandbox) -> Waits:
    """Real waits: three that go on, and one whose import failed."""
    ids = {task: sandbox.create_import(vendor, kind, script) for task, (vendor, kind, script) in SCRIPTS.items()}
    extra = {"import_page": "https://acme.example/jobs/{job_id}"}
    airflow.api.add_connection("acme_with_page", {**sandbox.airflow_connection("acme"), "extra": extra})
    airflow.api.wait_for_dags("other_packages")
    run_id = airflow.api.trigger("other_packages", ids)
    airflow.api.wait_for_task_state("other_packages", run_id, "failing", "failed")
    for task in ("growing", "without_workers", "without_percent"):
        airflow.api.wait_for_task_state("other_packages", run_id, task, "deferred")
    return Waits("other_packages", run_id, ids)


@pytest.fixture(scope="module")
def listed(
    browser: Browser, airflow: LocalAirflow, admins_session: StorageState, imports: Waits
) -> Iterator[FrameLocator]:
    """The Imports page, open, with all waits. The tests share it, and only look."""
    with open_window(browser, airflow, session=admins_session) as window:
        window.goto("/plugin/imports")
        yield window.frame_locator("iframe")


def page_of(imports: Waits, task: str) -> str:
    """Return the address of an import's page at Acme, as the connection has it."""
    return f"https://acme.example/jobs/{imports.import_ids[task]}"


def test_an_import_is_listed_with_its_progress(listed: FrameLocator, imports: Waits) -> None:
    growing = row(listed, imports, "growing")
    for text in ("Acme", "other_packages · growing", "Running", re.compile(r"[\d.]+ %/min")):
        expect(growing).to_contain_text(text)
    assert 5 <= percent(listed, imports, "growing") < 100


def test_an_import_is_listed_with_its_page(listed: FrameLocator, imports: Waits) -> None:
    link = row(listed, imports, "growing").get_by_role("link", name=imports.import_ids["growing"])
    expect(link).to_have_attribute("href", page_of(imports, "growing"))


def test_a_failed_import_is_listed_with_the_vendors_words(listed: FrameLocator, imports: Waits) -> None:
    for text in ("Failed", "the file has no header"):
        expect(row(listed, imports, "failing")).to_contain_text(text)


def test_a_wait_without_workers_is_listed(listed: FrameLocator, imports: Waits) -> None:
    expect(row(listed, imports, "without_workers")).to_contain_text("Running")
    assert percent(listed, imports, "without_workers") >= 55


def test_an_import_without_a_percentage_is_listed(listed: FrameLocator, imports: Waits) -> None:
    for text in ("GitLab", "other_packages · without_percent", "Running", "? %"):
        expect(row(listed, imports, "without_percent")).to_contain_text(text)


def test_the_page_can_be_filtered_by_the_vendor(listed: FrameLocator, imports: Waits) -> None:
    for vendor in ("Acme", "GitLab"):
        expect(listed.get_by_label("Vendor").get_by_role("option", name=vendor)).to_be_attached()


def test_a_task_has_a_tab_with_its_import(page: Page, imports: Waits) -> None:
    page.goto(imports.path_of("growing"))
    page.get_by_role("link", name="Import", exact=True).click()
    tab = page.frame_locator("iframe")
    expect(tab.get_by_role("heading", name="Acme import")).to_be_visible()
    expect(tab.get_by_text(imports.import_ids["growing"]).first).to_be_visible()
    expect(tab.locator("svg.chart")).to_be_visible()
    expect(tab.get_by_role("link", name="Open its page")).to_have_attribute("href", page_of(imports, "growing"))


def test_a_button_leads_to_the_import(page: Page, imports: Waits) -> None:
    page.goto(f"{imports.path_of('growing')}/details")
    expect(page.get_by_role("link", name=ImportLink.name)).to_have_attribute("href", page_of(imports, "growing"))
