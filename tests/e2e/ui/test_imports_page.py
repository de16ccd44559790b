# SPDX-License-Identifier: Apache-2.0
"""The "Imports" page and the tab on a task, as people see them while real tasks wait."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, FrameLocator, Locator, Page, Route, StorageState, expect

from airflow_import_progress.sandbox import Sandbox
from tests.e2e.ui.browsing import STRANGER, ColorScheme, Screenshots, Waits, log_in, open_window, percent, row
from tools.airflow_api import wait_until
from tools.local_airflow import LocalAirflow

VENDORS_WORDS = "row 1,041: field 'embedding' <script>document.title = 'owned'</script> is missing"

#: What the imports are. A test that looks at the growing one has a quarter of an hour.
SCRIPTS = {
    "growing": ("zilliz", "milvus", {"points": [[0, 5], [60, 35], [900, 90]], "records": 50_000}),
    "failing": ("zilliz", "cloud", {"points": [[0, 30], [20, 40], [20, -1]], "reason": VENDORS_WORDS}),
    "refused": ("leadsy", "lead", {"duration": 5, "records": 1000, "failed_records": 3}),
    "done": ("lucca", "leave", {"duration": 5}),
    "without_workers": ("lucca", "leave", {"points": [[0, 55], [600, 60]]}),
}


@pytest.fixture(scope="module")
def imports(airflow: LocalAirflow, sandbox: Sandbox) -> Waits:
    """Real waits: two that go on, one whose import failed, one that failed twice, and one whose import is done."""
    ids = {task: sandbox.create_import(vendor, kind, script) for task, (vendor, kind, script) in SCRIPTS.items()}
    airflow.api.add_connection(
        "milvus_default", {**sandbox.airflow_connection("zilliz"), "extra": {"api_version": "v2"}}
    )
    airflow.api.wait_for_dags("imports")
    run_id = airflow.api.trigger("imports", ids)
    airflow.api.wait_for_task_state("imports", run_id, "failing", "failed")
    airflow.api.wait_for_task_state("imports", run_id, "done", "success")
    airflow.api.wait_for_task_state("imports", run_id, "refused", "failed")
    airflow.api.clear("imports", run_id, "refused")
    wait_until("the second try to fail", lambda: failed_tries(airflow, run_id, "refused") == [1, 2], timeout=120)
    for task in ("growing", "without_workers"):
        airflow.api.wait_for_task_state("imports", run_id, task, "deferred")
    return Waits("imports", run_id, ids)


def failed_tries(airflow: LocalAirflow, run_id: str, task_id: str) -> list[int]:
    """Return the numbers of the tries that failed."""
    tries = airflow.api.tries("imports", run_id, task_id)
    return [attempt["try_number"] for attempt in tries if attempt["state"] == "failed"]


@pytest.fixture(scope="module")
def repeated(airflow: LocalAirflow, sandbox: Sandbox) -> Waits:
    """The last of six runs of one task, all of which succeeded."""
    airflow.api.wait_for_dags("repeated")
    ids = [sandbox.create_import("lucca", "leave", {"duration": 1}) for _ in range(6)]
    run_ids = [airflow.api.trigger("repeated", {"summary_id": import_id}) for import_id in ids]
    for run_id in run_ids:
        airflow.api.wait_for_task_state("repeated", run_id, "wait", "success")
    return Waits("repeated", run_ids[-1], {"wait": ids[-1]})


@pytest.fixture
def listed(page: Page, imports: Waits, waits: Waits) -> FrameLocator:
    """The page, open, with all waits."""
    page.goto("/plugin/imports")
    frame = page.frame_locator("iframe")
    expect(row(frame, imports, "growing")).to_be_visible()
    return frame


def color_of(badge: Locator) -> tuple[int, int, int]:
    """Return the color of a badge's dot as red, green and blue, however the style sheet mixes it."""
    red, green, blue, _ = badge.evaluate(
        """badge => {
            const canvas = document.createElement("canvas").getContext("2d");
            canvas.fillStyle = getComputedStyle(badge, "::before").backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
        }"""
    )
    return red, green, blue


def marked_lines(page: Page) -> list[str]:
    """Return the lines of the log that Airflow's log view has marked."""
    lines: list[str] = page.evaluate(
        """[...document.querySelectorAll("[data-testid^=virtualized-item]")]
            .filter(line => getComputedStyle(line).backgroundColor !== "rgba(0, 0, 0, 0)")
            .map(line => line.innerText)"""
    )
    return lines


def test_it_is_found_in_airflows_navigation(page: Page, imports: Waits) -> None:
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Imports").click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Imports")).to_be_visible()


def test_it_shows_every_wait_with_vendor_import_and_task(listed: FrameLocator, imports: Waits, waits: Waits) -> None:
    for vendor, task in [("Rocket.Chat", "rocketchat"), ("Zilliz", "zilliz"), ("Leadsy", "leadsy"), ("Lucca", "lucca")]:
        expect(row(listed, waits, task)).to_contain_text(vendor)
        expect(row(listed, waits, task)).to_contain_text(f"waits · {task}")
    for task in SCRIPTS:
        expect(row(listed, imports, task)).to_contain_text(f"imports · {task}")


def test_a_bar_grows_while_one_looks_on(listed: FrameLocator, imports: Waits) -> None:
    before = percent(listed, imports, "growing")
    assert before >= 5
    bar = row(listed, imports, "growing").get_by_role("progressbar")
    expect(bar).not_to_have_attribute("aria-valuenow", str(before))
    assert before < percent(listed, imports, "growing") < 100


def test_it_shows_the_pace_and_the_expected_end(listed: FrameLocator, imports: Waits) -> None:
    growing = row(listed, imports, "growing")
    expect(growing).to_contain_text(re.compile(r"[\d.]+ (%|records)/min"))
    expect(growing).to_contain_text(re.compile(r"in about \d+ min"))


def test_a_wait_without_workers_is_shown_like_any_other(listed: FrameLocator, imports: Waits) -> None:
    shown = row(listed, imports, "without_workers")
    expect(shown).to_contain_text("Running")
    assert percent(listed, imports, "without_workers") >= 55


def test_a_failed_import_is_red_and_says_it_in_the_vendors_words(listed: FrameLocator, imports: Waits) -> None:
    failed = row(listed, imports, "failing")
    expect(failed).to_contain_text("Failed")
    expect(failed).to_contain_text("row 1,041: field 'embedding'")
    red, green, blue = color_of(failed.locator(".badge"))
    assert red > 1.5 * max(green, blue)


def test_a_vendors_text_is_escaped(listed: FrameLocator, page: Page, imports: Waits) -> None:
    expect(row(listed, imports, "failing")).to_contain_text("<script>document.title = 'owned'</script>")
    assert [frame.title() for frame in page.frames if frame.title() == "owned"] == []


@pytest.mark.parametrize(
    ("choice", "shown", "hidden"),
    [
        ({"Vendor": "Rocket.Chat"}, ["rocketchat"], ["growing", "done", "lucca"]),
        ({"State": "Failed"}, ["failing", "refused"], ["growing", "done", "lucca"]),
        ({"State": "Went wrong"}, ["failing", "refused"], ["growing", "done", "lucca"]),
        ({"DAG": "imports"}, ["growing", "failing", "done"], ["rocketchat", "lucca"]),
        ({"Vendor": "Zilliz", "State": "Under way"}, ["growing", "zilliz"], ["failing", "lucca"]),
    ],
)
def test_it_is_filtered(
    listed: FrameLocator, imports: Waits, waits: Waits, choice: dict[str, str], shown: list[str], hidden: list[str]
) -> None:
    for label, value in choice.items():
        listed.get_by_label(label).select_option(value)
    for task in hidden:
        expect(row(listed, imports if task in SCRIPTS else waits, task)).to_have_count(0)
    for task in shown:
        expect(row(listed, imports if task in SCRIPTS else waits, task)).to_be_visible()


def test_a_filter_that_nothing_passes_says_so_and_is_cleared(listed: FrameLocator, imports: Waits) -> None:
    listed.get_by_label("State").select_option("Skipped")
    expect(listed.get_by_text("No import matches")).to_be_visible()
    listed.get_by_role("button", name="Clear filters").first.click()
    expect(row(listed, imports, "growing")).to_be_visible()


def test_the_search_finds_an_import_by_its_id(listed: FrameLocator, imports: Waits) -> None:
    listed.get_by_label("Search").fill(imports.import_ids["growing"])
    expect(row(listed, imports, "failing")).to_have_count(0)
    expect(row(listed, imports, "growing")).to_be_visible()


def test_a_header_sorts(listed: FrameLocator, imports: Waits) -> None:
    listed.get_by_label("DAG").select_option("imports")
    listed.get_by_role("columnheader", name="Task").get_by_role("button").click()
    expect(listed.locator("#waits .name")).to_have_text([f"imports · {task}" for task in sorted(SCRIPTS)])
    expect(listed.get_by_role("columnheader", name="Task")).to_have_attribute("aria-sort", "ascending")


def test_a_tile_shows_what_went_wrong_today(listed: FrameLocator, imports: Waits, waits: Waits) -> None:
    listed.get_by_role("button", name=re.compile(r"^Went wrong today")).click()
    expect(row(listed, waits, "lucca")).to_have_count(0)
    for task in ("failing", "refused"):
        expect(row(listed, imports, task)).to_be_visible()


def test_the_slowest_import_is_one_click_away(page: Page, listed: FrameLocator, imports: Waits) -> None:
    listed.get_by_role("link", name=re.compile("^Slowest")).click()
    expect(page).to_have_url(re.compile(r"/dags/\w+/runs/[^/]+/tasks/\w+/plugin/import"))
    expect(listed.get_by_role("heading", name=re.compile(r"\w import$"))).to_be_visible()


def test_a_failed_import_is_grey_up_to_its_failed_records(listed: FrameLocator, imports: Waits) -> None:
    bar = row(listed, imports, "refused").locator(".bar")
    expect(bar.locator(".failed-records")).to_be_visible()
    expect(bar).to_have_text("")


def test_the_vendors_file_of_the_errors_is_linked(listed: FrameLocator, imports: Waits, sandbox: Sandbox) -> None:
    row(listed, imports, "refused").get_by_role("button", name=re.compile("^Details")).click()
    link = listed.get_by_role("link", name="Error file")
    expect(link).to_have_attribute("href", re.compile(rf"{imports.import_ids['refused']}.*errors\.csv"))


def test_the_log_of_the_failed_try_is_one_click_away(page: Page, listed: FrameLocator, imports: Waits) -> None:
    row(listed, imports, "refused").get_by_role("link", name=re.compile("^Log")).click()
    expect(page).to_have_url(re.compile(r"/dags/imports/runs/[^/]+/tasks/refused\?.*try_number=2"))
    expect(page.get_by_text("max_failed_records").first).to_be_visible()


def test_the_last_error_in_the_log_is_marked(page: Page, listed: FrameLocator, imports: Waits) -> None:
    row(listed, imports, "refused").get_by_role("button", name=re.compile("^Details")).click()
    listed.get_by_role("link", name="Log of try 2").and_(listed.locator("[href*='#']")).click()
    expect(page).to_have_url(re.compile(r"/tasks/refused\?.*try_number=2#\d+$"))
    (marked,) = wait_until("a line to be marked", lambda: marked_lines(page), timeout=30)
    assert "Task failed with exception" in marked


def test_a_repeated_import_is_compared_with_its_earlier_runs(page: Page, repeated: Waits) -> None:
    page.goto(f"{repeated.path_of('wait')}/plugin/import")
    tab = page.frame_locator("iframe")
    expect(tab.get_by_text(re.compile(r"sually \d+ s \(median of 5\)"))).to_be_visible()
    expect(tab.locator("svg.durations rect")).to_have_count(6)


def test_a_task_is_one_click_away(page: Page, listed: FrameLocator, imports: Waits) -> None:
    row(listed, imports, "growing").get_by_role("link", name="imports · growing").click()
    expect(page).to_have_url(re.compile(r"/dags/imports/runs/[^/]+/tasks/growing"))


def test_the_chart_opens_with_the_keyboard(page: Page, listed: FrameLocator, imports: Waits) -> None:
    row(listed, imports, "growing").get_by_role("button", name=re.compile("^Details")).focus()
    page.keyboard.press("Enter")
    expect(listed.locator("svg.chart")).to_have_attribute("aria-label", re.compile(r"^From \d+ % at .+ to \d+ % at"))


def test_a_task_has_a_tab_with_its_import(page: Page, imports: Waits) -> None:
    page.goto(imports.path_of("growing"))
    page.get_by_role("link", name="Import", exact=True).click()
    tab = page.frame_locator("iframe")
    expect(tab.get_by_text(imports.import_ids["growing"]).first).to_be_visible()
    expect(tab.locator("svg.chart")).to_be_visible()


def test_an_unreachable_api_server_is_reported_and_the_rows_stay(
    page: Page, listed: FrameLocator, imports: Waits
) -> None:
    def no_answer(route: Route) -> None:
        route.abort()

    page.route("**/api/waits?**", no_answer)
    expect(listed.get_by_role("alert")).to_contain_text("does not respond")
    expect(row(listed, imports, "growing")).to_be_visible()
    page.unroute("**/api/waits?**", no_answer)
    expect(listed.get_by_role("alert")).to_be_hidden()


def test_a_user_without_permission_is_refused(browser: Browser, airflow: LocalAirflow, imports: Waits) -> None:
    with open_window(browser, airflow, session=log_in(browser, airflow, STRANGER)) as window:
        window.goto("/import-progress/")
        expect(window.get_by_role("heading", name="You may not see this")).to_be_visible()
        assert imports.import_ids["growing"] not in window.content()


def test_without_a_session_it_shows_nothing(browser: Browser, airflow: LocalAirflow, imports: Waits) -> None:
    with open_window(browser, airflow) as window:
        window.goto("/import-progress/")
        expect(window.get_by_role("heading", name="You are not logged in")).to_be_visible()
        assert imports.import_ids["growing"] not in window.content()


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_it_is_worth_showing(
    page: Page, listed: FrameLocator, imports: Waits, color_scheme: ColorScheme, screenshots: Screenshots
) -> None:
    expect(listed.locator("html")).to_have_attribute("data-theme", color_scheme)
    # With the finished ones first.
    listed.get_by_role("columnheader", name="Ended").get_by_role("button").click()
    expect(row(listed, imports, "failing")).to_be_visible()
    screenshots.take(page, f"imports-page-{color_scheme}")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_it_fits_a_phone(
    browser: Browser,
    airflow: LocalAirflow,
    admins_session: StorageState,
    imports: Waits,
    color_scheme: ColorScheme,
    screenshots: Screenshots,
) -> None:
    with open_window(browser, airflow, session=admins_session, color_scheme=color_scheme, size=(390, 844)) as window:
        window.goto("/import-progress/")
        expect(window.get_by_role("row").filter(has_text=imports.import_ids["growing"])).to_be_visible()
        assert window.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        screenshots.take(window, f"imports-page-phone-{color_scheme}")
