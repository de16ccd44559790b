# SPDX-License-Identifier: Apache-2.0
"""The browser, its screenshots, and the waits that it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

from playwright.sync_api import Browser, FrameLocator, Locator, Page, Route, StorageState

from tools.local_airflow import LocalAirflow

ColorScheme = Literal["light", "dark"]

#: The names of the system's Chromium. Playwright's own is never downloaded.
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: The longest time until something is visible, in milliseconds. Long, because a few cores run Airflow and the browser.
MAX_WAIT = 30_000

#: The user who may do everything, and the user who may log in but see nothing.
ADMIN, STRANGER = "ada", "nobody"

IMAGES = Path(__file__).parents[3] / "docs" / "images"


class Site(Protocol):
    """An Airflow, or a part of it, that a browser can open."""

    @property
    def url(self) -> str:
        """The address without a path."""


def chromium() -> str | None:
    """Return the path of the system's Chromium, or None if it has none."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def chromium_arguments() -> list[str]:
    """Return the arguments that Chromium needs on this machine."""
    # Chromium refuses to run as root in its sandbox. It does without, because it reaches only the loopback interface.
    return ["--no-sandbox"] if os.geteuid() == 0 else []


def stay_on_loopback(route: Route) -> None:
    """Allow requests to this machine, and abort all others."""
    if urlsplit(route.request.url).hostname in ("127.0.0.1", None):
        route.continue_()
    else:
        route.abort()


@contextmanager
def open_window(
    browser: Browser,
    airflow: Site,
    *,
    session: StorageState | None = None,
    color_scheme: ColorScheme = "light",
    size: tuple[int, int] = (1280, 900),
    timezone: str = "UTC",
) -> Iterator[Page]:
    """
    Open a window of the browser.

    :param browser: The browser.
    :param airflow: The Airflow.
    :param session: The browser's state after a login. None: nobody is logged in.
    :param color_scheme: The appearance that the person prefers.
    :param size: Width and height, in pixels.
    :param timezone: The time zone of the person.
    """
    context = browser.new_context(
        base_url=airflow.url,
        storage_state=session,
        color_scheme=color_scheme,
        viewport={"width": size[0], "height": size[1]},
        locale="en-GB",
        timezone_id=timezone,
    )
    context.set_default_timeout(MAX_WAIT)
    context.route("**/*", stay_on_loopback)
    yield context.new_page()
    context.close()


def log_in(browser: Browser, airflow: LocalAirflow, user: str) -> StorageState:
    """Log in a user whose password is their name, and return the browser's state."""
    with open_window(browser, airflow) as window:
        window.goto("/")
        window.get_by_label("Username").fill(user)
        window.get_by_label("Password").fill(user)
        window.get_by_role("button", name="Sign in").click()
        window.get_by_role("link", name="Home").first.wait_for()
        return window.context.storage_state()


class Screenshots:
    """
    Screenshots of pages.

    :param folder: The folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, page: Page, name: str, selector: str | None = None) -> Path:
        """
        Take a screenshot of a page or of a part of it, and return the file.

        :param page: The page.
        :param name: The file's name without its suffix.
        :param selector: The part. None: the visible part of the page.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{name}.png"
        shown = page if selector is None else page.locator(selector)
        shown.screenshot(path=file, animations="disabled")
        return file


@dataclass
class Waits:
    """A DAG run that waits, and its imports by vendor or task."""

    dag_id: str
    run_id: str
    import_ids: dict[str, str]

    def path_of(self, task_id: str) -> str:
        """Return the path of a wait's page in Airflow's UI."""
        return f"/dags/{self.dag_id}/runs/{self.run_id}/tasks/{task_id}"


def row(frame: FrameLocator, waits: Waits, task: str) -> Locator:
    """Return the row of a wait on the Imports page."""
    return frame.get_by_role("row").filter(has_text=waits.import_ids[task])


def percent(frame: FrameLocator, waits: Waits, task: str) -> int:
    """Return how far the bar of a wait is on the Imports page."""
    return int(row(frame, waits, task).get_by_role("progressbar").get_attribute("aria-valuenow") or "-1")
