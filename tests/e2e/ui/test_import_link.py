# SPDX-License-Identifier: Apache-2.0
"""The button on a waiting task that leads to the import at the vendor."""

from __future__ import annotations

import pytest
import requests
from playwright.sync_api import Page, expect

from airflow_import_progress.links import ImportLink
from airflow_import_progress.sandbox import Sandbox
from tests.e2e.ui.browsing import Waits
from tools.airflow_api import wait_until
from tools.local_airflow import LocalAirflow

NAME = "Import at the vendor"


@pytest.fixture(scope="module")
def linked(airflow: LocalAirflow, sandbox: Sandbox) -> Waits:
    """Waits on a connection with a page of its own."""
    import_id = sandbox.create_import("lucca", "leave", {"points": [[0, 40], [3600, 45]]})
    airflow.api.add_connection(
        "lucca_with_page",
        {
            **sandbox.airflow_connection("lucca"),
            "extra": {"import_page": "https://acme.example/imports/{summary_id}?tab=history"},
        },
    )
    airflow.api.wait_for_dags("links")
    run_id = airflow.api.trigger("links", {"summary_id": import_id})
    airflow.api.wait_for_task_state("links", run_id, "deferred", "deferred")
    airflow.api.wait_for_task_state("links", run_id, "rescheduled", "up_for_reschedule")
    # Where no worker begins, it is the trigger that stores it, with its first poll.
    wait_until("the trigger to store the link", lambda: has_link(airflow, run_id, "without_workers"), timeout=60)
    return Waits("links", run_id, {"lucca": import_id})


def has_link(airflow: LocalAirflow, run_id: str, task_id: str) -> bool:
    """Return whether Airflow has stored the address of the button."""
    try:
        return bool(airflow.api.xcom("links", run_id, task_id, ImportLink.xcom_key))
    except requests.HTTPError:
        return False


@pytest.mark.parametrize("task_id", ["deferred", "rescheduled", "without_workers"])
def test_it_leads_to_the_page_that_the_connection_says(page: Page, linked: Waits, task_id: str) -> None:
    page.goto(f"{linked.path_of(task_id)}/details")
    address = f"https://acme.example/imports/{linked.import_ids['lucca']}?tab=history"
    expect(page.get_by_role("link", name=NAME)).to_have_attribute("href", address)


def test_it_leads_to_the_page_that_the_vendor_documents(page: Page, waits: Waits, sandbox: Sandbox) -> None:
    page.goto(f"{waits.path_of('rocketchat')}/details")
    expect(page.get_by_role("link", name=NAME)).to_have_attribute("href", f"{sandbox.url}/admin/import")


@pytest.mark.parametrize("vendor", ["lucca", "zilliz", "leadsy"])
def test_there_is_none_where_no_page_is_known(page: Page, waits: Waits, vendor: str) -> None:
    with page.expect_response(lambda answer: answer.url.split("?")[0].endswith("/links")) as answered:
        page.goto(f"{waits.path_of(vendor)}/details")
    assert answered.value.json()["extra_links"] == {NAME: None}
    expect(page.get_by_text("Deferred").first).to_be_visible()
    expect(page.get_by_role("link", name=NAME)).to_have_count(0)
    expect(page.get_by_role("button", name=NAME)).to_have_count(0)
