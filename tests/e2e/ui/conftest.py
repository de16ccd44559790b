# SPDX-License-Identifier: Apache-2.0
"""
Real waits, and a real browser on Airflow's UI.

``page`` is a browser window in which an admin is logged in. A test that checks both color schemes is marked with
``@pytest.mark.parametrize("color_scheme", ["light", "dark"])``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.ui.browsing import (
    ADMIN,
    IMAGES,
    MAX_WAIT,
    STRANGER,
    ColorScheme,
    Screenshots,
    Waits,
    chromium,
    chromium_arguments,
    log_in,
    open_window,
)
from tests.support.fresh_environment import install_into
from tests.support.other_packages import EXAMPLE, write_package_of_page
from tools.examples import connections_to
from tools.local_airflow import LocalAirflow

#: The kinds and scripts of the imports. They hardly progress, so that all tests see the same.
IMPORTS = {
    "lucca": ("leave", {"points": [[0, 40], [3600, 45]]}),
    "rocketchat": ("csv", {"points": [[0, 60], [3600, 65]], "records": 500}),
    "zilliz": ("cloud", {"points": [[0, 20], [3600, 25]]}),
    "leadsy": ("lead", {"points": [[0, 80], [3600, 85]], "records": 1000, "failed_records": 3}),
}

expect.set_options(timeout=MAX_WAIT)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--save-screenshots",
        action="store_true",
        help=f"save the screenshots of the documentation to {IMAGES.relative_to(IMAGES.parents[1])}",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium() is not None:
        return
    reason = "Chromium is not installed. Install it, on Debian with: apt-get install chromium"
    if os.environ.get("REQUIRE_BROWSER"):
        raise pytest.UsageError(f"REQUIRE_BROWSER is set, and {reason}")
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add to the report of a failed test what the browser showed."""
    report: pytest.TestReport = yield
    arguments = getattr(item, "funcargs", {})
    if report.failed and "page" in arguments:
        page, folder = arguments["page"], arguments["tmp_path_factory"].mktemp("failed")
        file = Screenshots(folder).take(page, "page")
        report.sections.append(("the browser", f"{page.url}\n{file}\n\n{page.locator('body').inner_text()[:4000]}"))
    return report


@pytest.fixture(scope="session")
def other_packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The packages of docs/add-a-vendor.md and of examples/, installed for Airflow, the sandbox and the tests."""
    page, installed = tmp_path_factory.mktemp("page"), tmp_path_factory.mktemp("installed")
    write_package_of_page(page)
    install_into(installed, page, EXAMPLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(installed)
        patch.setenv("PYTHONPATH", str(installed), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def sandbox(other_packages: None, sandbox: Sandbox) -> Sandbox:
    """The vendors' sandbox, with those of the other packages."""
    return sandbox


@pytest.fixture(scope="session")
def airflow_options(other_packages: None) -> dict[str, Any]:
    """An Airflow with users and with a "Test" button on connections."""
    return {
        "dags_folder": Path(__file__).parent / "dags",
        "settings": {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"},
        "users": {ADMIN: "admin", STRANGER: ""},
    }


@pytest.fixture(scope="session")
def airflow(airflow: LocalAirflow, sandbox: Sandbox) -> LocalAirflow:
    """The Airflow, with the connections to the sandbox in its database, where its UI lists them."""
    for conn_id, connection in connections_to(sandbox).items():
        airflow.api.add_connection(conn_id, connection)
    return airflow


@pytest.fixture(scope="session")
def waits(airflow: LocalAirflow, sandbox: Sandbox) -> Waits:
    """Real waits for imports that hardly progress, all of them in the triggerer."""
    ids = {vendor: sandbox.create_import(vendor, kind, script) for vendor, (kind, script) in IMPORTS.items()}
    airflow.api.wait_for_dags("waits")
    run_id = airflow.api.trigger("waits", ids)
    for vendor in IMPORTS:
        airflow.api.wait_for_task_state("waits", run_id, vendor, "deferred")
    return Waits("waits", run_id, ids)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=chromium_arguments())
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def admins_session(browser: Browser, airflow: LocalAirflow) -> StorageState:
    """The browser's state after an admin's login."""
    return log_in(browser, airflow, ADMIN)


@pytest.fixture
def color_scheme() -> ColorScheme:
    """The appearance that the person prefers."""
    return "light"


@pytest.fixture
def page(
    browser: Browser,
    airflow: LocalAirflow,
    admins_session: StorageState,
    color_scheme: ColorScheme,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Page]:
    """A window of the browser at Airflow's first page, logged in."""
    with open_window(browser, airflow, session=admins_session, color_scheme=color_scheme) as window:
        window.goto("/")
        yield window


@pytest.fixture
def screenshots(request: pytest.FixtureRequest, tmp_path: Path) -> Screenshots:
    """Screenshots, in the documentation with --save-screenshots, otherwise in a temporary folder."""
    return Screenshots(IMAGES if request.config.getoption("--save-screenshots") else tmp_path)
