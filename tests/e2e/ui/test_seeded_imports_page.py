# SPDX-License-Identifier: Apache-2.0
"""The "Imports" page on seeded waits: more than a page of them, and states that a real Airflow takes long to reach."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from airflow_import_progress.waiting.published import PublishedStart, PublishedStartState
from tests.e2e.ui.browsing import ColorScheme, Screenshots, open_window
from tests.support.imports_page import airflows_app, empty_database, published, store_waits, token_of
from tools.airflow_api import wait_until
from tools.seed_waits import SeededWait

PHONE = (390, 844)
DASH = "\N{EN DASH}"
MINUTE, HOUR = 60.0, 3600.0
WHAT_TO_DO = "It is unknown whether Lucca started an import. " + "Look for it in Lucca's list of imports. " * 8

OpenPage = Callable[..., Page]


@dataclass
class Server:
    """Airflow's API server, without the components that run tasks."""

    url: str

    def session_of(self, user: str) -> StorageState:
        """Return a browser's state after the login of a user."""
        cookie: Any = {"name": "_token", "value": token_of(user), "url": self.url}
        return {"cookies": [cookie], "origins": []}


@contextmanager
def serve(app: Any) -> Iterator[Server]:
    """Serve an app on a free port of the loopback interface."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until("the API server to start", lambda: server.started, timeout=60)
        host, port = server.servers[0].sockets[0].getsockname()
        yield Server(f"http://{host}:{port}")
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a database of its own."""
    with airflows_app(tmp_path_factory.mktemp("airflow")) as app, serve(app) as running:
        yield running


@pytest.fixture
def open_page(server: Server, browser: Browser) -> Iterator[OpenPage]:
    """Return a function that stores waits and opens the page."""
    empty_database()
    with ExitStack() as windows:

        def open_it(*waits: SeededWait, query: str = "", user: str = "reads everything", **options: Any) -> Page:
            store_waits(*waits)
            session = server.session_of(user)
            window = windows.enter_context(open_window(browser, server, session=session, **options))
            window.goto(f"/import-progress/{query}")
            expect(window.get_by_role("region", name="Summary")).to_be_visible()
            return window

        yield open_it


def seeded(
    dag_id: str, *, began: float = HOUR, took: float = 10 * MINUTE, run_id: str = "", **fields: Any
) -> SeededWait:
    """
    Make a wait.

    :param dag_id: The DAG.
    :param began: How long ago it began, in seconds.
    :param took: How long it took, in seconds.
    :param run_id: The DAG run.
    :param fields: Further fields of the wait, and those of what it has published.
    """
    own = {name: fields.pop(name) for name in ("task_id", "task_state", "try_number", "run_state") if name in fields}
    since = time.time() - began
    end = datetime.fromtimestamp(since + took, UTC)
    progress = fields.pop("progress", ("succeeded", 100.0))
    values = {
        "waiting_since": since,
        "polled_at": since + took,
        "import_id": f"id-of-{dag_id}",
        "ends_at": None,
    } | fields
    return SeededWait(
        dag_id=dag_id,
        run_id=run_id or f"run_of_{dag_id}",
        published=published(progress=progress, try_number=own.get("try_number", 1), **values),
        published_at=end,
        started=timedelta(seconds=took),
        **{"task_state": "success", "run_state": "success"} | own,
    )


def running(dag_id: str, *, began: float = HOUR, **fields: Any) -> SeededWait:
    """Make a wait that is under way."""
    own = {"task_state": "deferred", "run_state": "running", "progress": ("running", 42.0)}
    return seeded(dag_id, began=began, took=began, **own | fields)


def failed(dag_id: str, **fields: Any) -> SeededWait:
    """Make a wait whose import failed."""
    return seeded(dag_id, **{"task_state": "failed", "run_state": "failed", "progress": ("failed", 40.0)} | fields)


def many(count: int) -> list[SeededWait]:
    """Make waits that ended one after the other, the last one first."""
    return [seeded(f"dag_{number:02}", began=HOUR + number * MINUTE) for number in range(count)]


def rows(page: Page) -> Locator:
    """Return the rows of all listed waits."""
    return page.locator("#waits tbody tr[data-state]")


def row(page: Page, dag_id: str) -> Locator:
    """Return the row of a DAG's wait."""
    return rows(page).filter(has=page.get_by_role("link", name=f"{dag_id} · wait"))


def listed(page: Page) -> list[str]:
    """Return the DAGs of the listed waits from top to bottom."""
    return [text.partition(" ·")[0] for text in rows(page).locator(".name").all_inner_texts()]


def expect_listed(page: Page, *dag_ids: str) -> None:
    """Wait until the waits of these DAGs are listed, and no others."""
    expect(rows(page).locator(".name")).to_have_text([f"{dag_id} · wait" for dag_id in dag_ids])


def open_details(page: Page, dag_id: str) -> Locator:
    """Open the details of a wait, and return them."""
    row(page, dag_id).get_by_role("button", name=re.compile("^Details")).click()
    details = page.locator("tr.details")
    expect(details.locator("dl")).to_be_visible()
    return details


# ---- Search, order and pages


@pytest.mark.parametrize("text", ["LEADS_of", "id-of-leads", "quota exceeded"])
def test_the_search_finds_a_wait_while_one_types(open_page: OpenPage, text: str) -> None:
    page = open_page(failed("leads_of_today", error="The quota exceeded its limit: quota exceeded"), seeded("leaves"))
    page.get_by_label("Search").press_sequentially(text)
    expect_listed(page, "leads_of_today")


def test_a_search_is_kept_in_the_address_and_cleared_by_escape(open_page: OpenPage) -> None:
    page = open_page(seeded("leads"), seeded("leaves", began=2 * HOUR), query="?search=leads")
    expect_listed(page, "leads")
    page.get_by_label("Search").fill("leaves 100 % + more")
    page.get_by_label("Search").press("Enter")
    expect(page.get_by_text("No import matches")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No import matches")).to_be_visible()
    expect(page.get_by_label("Search")).to_have_value("leaves 100 % + more")
    page.get_by_label("Search").press("Escape")
    expect_listed(page, "leads", "leaves")
    expect(page).to_have_url(re.compile(r"/import-progress/$"))


def test_a_search_is_applied_with_a_filter_that_is_chosen_at_once(open_page: OpenPage) -> None:
    page = open_page(failed("leads"), failed("leaves"), seeded("leads_that_are_done"))
    page.get_by_label("Search").press_sequentially("leads")
    page.get_by_label("State").select_option("Failed")
    expect_listed(page, "leads")
    expect(page.get_by_label("Search")).to_have_value("leads")


def test_a_header_sorts_with_the_keyboard_in_both_directions(open_page: OpenPage) -> None:
    page = open_page(
        seeded("short", took=MINUTE),
        seeded("long", took=50 * MINUTE),
        seeded("medium", took=20 * MINUTE),
    )
    expect_listed(page, "long", "medium", "short")
    header = page.get_by_role("columnheader", name="Took")
    expect(header).to_have_attribute("aria-sort", "none")
    header.get_by_role("button").press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    header.get_by_role("button").press("Space")
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect_listed(page, "short", "medium", "long")
    expect(page).to_have_url(re.compile(r"\?sort=took$"))
    expect(header.get_by_role("button")).to_be_focused()
    header.get_by_role("button").press("Enter")
    expect(header).to_have_attribute("aria-sort", "none")


@pytest.mark.parametrize("column", ["Import", "Task", "State", "Progress", "Started", "Took", "Ended"])
def test_every_column_sorts(open_page: OpenPage, column: str) -> None:
    page = open_page(seeded("leaves"), failed("leads", began=2 * HOUR, took=MINUTE))
    header = page.get_by_role("columnheader", name=column)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", re.compile("ascending|descending"))
    expect(page.locator("#waits")).not_to_have_attribute("aria-busy", "true")
    once = listed(page)
    header.get_by_role("button").click()
    expect_listed(page, *reversed(once))


def test_pages_are_turned_with_the_keyboard(open_page: OpenPage) -> None:
    page = open_page(*many(60))
    expect(rows(page)).to_have_count(50)
    pages = page.get_by_role("navigation", name="Pages")
    expect(pages).to_contain_text(f"1{DASH}50")
    page.get_by_role("button", name="Older").press("Enter")
    expect(pages).to_contain_text(f"51{DASH}60")
    assert listed(page) == [f"dag_{number}" for number in range(50, 60)]
    # The button "Older" is disabled, so the other one has the focus.
    expect(page.get_by_role("button", name="Newer")).to_be_focused()
    page.keyboard.press("Enter")
    expect(pages).to_contain_text(f"1{DASH}50")
    expect(rows(page)).to_have_count(50)


def test_a_poll_refreshes_the_page_that_is_shown(open_page: OpenPage) -> None:
    page = open_page(*many(60), query="?offset=50")
    expect(rows(page)).to_have_count(10)
    store_waits(failed("the_newest", began=HOUR, took=30 * MINUTE))
    expect(rows(page)).to_have_count(11)
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text(f"51{DASH}61")


def test_a_filter_leads_to_the_first_page(open_page: OpenPage) -> None:
    page = open_page(*many(60), query="?offset=50")
    expect(rows(page)).to_have_count(10)
    page.get_by_label("Search").fill("dag_0")
    expect_listed(page, *(f"dag_0{number}" for number in range(10)))
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()


def test_a_button_keeps_the_focus_while_its_row_moves(open_page: OpenPage) -> None:
    page = open_page(seeded("leads"), seeded("leaves", began=2 * HOUR))
    details = row(page, "leaves").get_by_role("button", name=re.compile("^Details"))
    details.focus()
    store_waits(*(running(f"new_{number}") for number in range(3)))
    expect(rows(page)).to_have_count(5)
    expect(details).to_be_focused()


def test_the_dags_of_all_pages_can_be_chosen(open_page: OpenPage) -> None:
    page = open_page(*many(60))
    expect(rows(page)).to_have_count(50)
    page.get_by_role("combobox", name="DAG").select_option("dag_59")
    expect_listed(page, "dag_59")


# ---- The summary


def waits_of_a_day() -> list[SeededWait]:
    """Make waits that are under way, that ended today and that ended earlier."""
    return [
        running("under_way", began=30 * MINUTE),
        seeded("done", began=2 * MINUTE, took=MINUTE),
        failed("failed", began=3 * MINUTE, took=MINUTE),
        failed("failed_last_week", began=60 * HOUR),
    ]


@pytest.fixture
def at_noon() -> dict[str, str]:
    """Options of a window in a time zone in which it is between 11 and 13 o'clock, so that a day has not just begun."""
    hours = datetime.now(UTC).hour - 12
    return {"timezone": f"Etc/GMT{hours:+d}"}


@pytest.mark.parametrize(
    ("tile", "count", "shown"),
    [
        ("Under way", 1, ["under_way"]),
        ("Ended today", 2, ["done", "failed"]),
        ("Went wrong today", 1, ["failed"]),
    ],
)
def test_a_tile_counts_and_filters(
    open_page: OpenPage, at_noon: dict[str, str], tile: str, count: int, shown: list[str]
) -> None:
    page = open_page(*waits_of_a_day(), **at_noon)
    button = page.get_by_role("button", name=re.compile(f"^{tile}"))
    expect(button).to_have_text(f"{tile} {count}")
    button.click()
    expect_listed(page, *shown)
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(rows(page)).to_have_count(4)


def test_the_slowest_import_is_named_and_linked(open_page: OpenPage, at_noon: dict[str, str]) -> None:
    page = open_page(*waits_of_a_day(), **at_noon)
    slowest = page.get_by_role("link", name=re.compile("^Slowest"))
    expect(slowest).to_have_text(re.compile(r"^Slowest 30 min Lucca · under_way · wait$"))
    expect(slowest).to_have_attribute("href", "../dags/under_way/runs/run_of_under_way/tasks/wait/plugin/import")


def test_a_user_of_one_dag_sees_and_counts_only_its_imports(open_page: OpenPage) -> None:
    page = open_page(running("leaves"), running("payroll_of_the_board", began=3 * HOUR), user="reads one DAG")
    expect_listed(page, "leaves")
    expect(page.get_by_role("button", name=re.compile("^Under way"))).to_have_text("Under way 1")
    assert "payroll_of_the_board" not in page.content()


# ---- The rows


def test_times_are_relative_and_their_titles_absolute(open_page: OpenPage) -> None:
    page = open_page(seeded("leaves", began=2 * HOUR, took=25 * MINUTE))
    started = row(page, "leaves").locator("td[data-label=Started] time")
    expect(started).to_have_text("2 h ago")
    moment = datetime.now(UTC) - timedelta(hours=2)
    expect(started).to_have_attribute("title", re.compile(moment.strftime(r"%d/%m/%Y, %H:\d\d:\d\d")))
    expect(started).to_have_attribute("datetime", re.compile(moment.strftime(r"%Y-%m-%dT%H:\d\d:\d\d")))
    took = row(page, "leaves").locator("td[data-label=Took] span")
    expect(took).to_have_text("25 min")
    expect(took).to_have_attribute("title", re.compile(r"^from .+ to .+"))


def test_the_duration_of_a_wait_under_way_counts_on(open_page: OpenPage) -> None:
    page = open_page(running("leaves", began=20))
    took = row(page, "leaves").locator("td[data-label=Took]")
    before = took.inner_text()
    expect(took).not_to_have_text(before)
    assert re.fullmatch(r"\d+ s", before)


def test_a_time_beyond_all_dates_affects_only_itself(open_page: OpenPage) -> None:
    page = open_page(running("leaves", waiting_since=-1e300), running("leads"))
    expect(rows(page)).to_have_count(2)
    expect(page.get_by_role("alert")).to_be_hidden()


def is_red(element: Locator) -> bool:
    """Return whether the background of an element is rather red."""
    color = element.evaluate(
        """element => {
            const canvas = document.createElement("canvas").getContext("2d");
            canvas.fillStyle = getComputedStyle(element).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
        }"""
    )
    return bool(color[0] > 1.5 * max(color[1], color[2]))


def test_a_failed_import_is_grey_up_to_its_failed_records(open_page: OpenPage) -> None:
    page = open_page(failed("leads", progress=("failed", 100.0)))
    bar = row(page, "leads").locator(".bar")
    assert not is_red(bar.locator(".fill"))
    assert is_red(bar.locator(".failed-records"))
    box = bar.locator(".failed-records").bounding_box()
    assert box is not None
    assert box["width"] >= 4
    expect(bar).to_have_text("")


def test_the_percentage_of_an_import_that_failed_halfway_remains(open_page: OpenPage) -> None:
    page = open_page(failed("leads"))
    expect(row(page, "leads").locator(".bar")).to_have_text("40 %")


def test_ids_are_on_one_line_with_the_whole_id_as_title(open_page: OpenPage) -> None:
    run_id, import_id = "scheduled__2026-01-01T00:00:00+00:00" * 3, "3c90c3cc-0d44-4b50-8888-8dd25736052a" * 2
    page = open_page(seeded("leaves", run_id=run_id, import_id=import_id))
    for text in (run_id, import_id):
        line = row(page, "leaves").get_by_title(text)
        assert line.evaluate("line => line.getClientRects().length === 1 && line.clientHeight < 30")


def test_the_log_is_that_of_the_failed_try(open_page: OpenPage) -> None:
    page = open_page(failed("leads", try_number=3), seeded("leaves"))
    link = row(page, "leads").get_by_role("link", name="Log of Lucca import id-of-leads")
    expect(link).to_have_attribute("href", "../dags/leads/runs/run_of_leads/tasks/wait?try_number=3")
    expect(row(page, "leaves").get_by_role("link", name=re.compile("^Log"))).to_have_count(0)


LOG = [
    *({"event": event} for event in ("::group::Log message source details", "a file", "::endgroup::")),
    *({"event": event} for event in ("::group::Pre Execute", "prepared", "::endgroup::", "Waiting")),
    {"event": "The import failed", "level": "error"},
    {"event": "Ending"},
    *({"event": event, "level": "error"} for event in ("::group::Post Execute", "A callback failed", "::endgroup::")),
]


@pytest.mark.parametrize(("version", "line"), [("3.1.8", 4), ("3.2.2", 4), ("3.3.2", 3), ("4.0.0", 3)])
def test_the_log_opens_at_the_last_error(open_page: OpenPage, version: str, line: int) -> None:
    page = open_page(failed("leads"))
    path = "**/api/v2/dags/leads/dagRuns/run_of_leads/taskInstances/wait/logs/1?map_index=-1"
    page.route(path, lambda route: route.fulfill(body="\n".join(map(json.dumps, LOG))))
    page.route("**/api/v2/version", lambda route: route.fulfill(json={"version": version}))
    open_details(page, "leads")
    for name in ("Log of Lucca import id-of-leads", "Log of try 1"):
        link = page.get_by_role("link", name=name)
        expect(link).to_have_attribute("href", f"../dags/leads/runs/run_of_leads/tasks/wait?try_number=1#{line}")


def test_without_a_log_the_link_leads_to_the_try(open_page: OpenPage) -> None:
    page = open_page(failed("leads"))
    with page.expect_response("**/logs/1?map_index=-1") as refused:
        details = open_details(page, "leads")
    assert not refused.value.ok or "level" not in refused.value.text()
    link = details.get_by_role("link", name="Log of try 1")
    expect(link).to_have_attribute("href", re.compile(r"\?try_number=1$"))


def without_import(state: PublishedStartState) -> dict[str, Any]:
    """Return the fields of a wait whose task has started an import of which nothing is known."""
    start = PublishedStart(state=state, sent_at=time.time() - 60, content="the file '/data/leaves.csv'")
    return {"progress": None, "import_id": None, "start": start}


@pytest.mark.parametrize("size", [(1280, 900), PHONE])
def test_an_unknown_start_shows_all_of_what_to_do(open_page: OpenPage, size: tuple[int, int]) -> None:
    fields = without_import(PublishedStartState.UNKNOWN)
    page = open_page(
        failed("leaves", error=WHAT_TO_DO, **fields),
        running("retried", task_state="up_for_retry", error=WHAT_TO_DO, **fields),
        size=size,
    )
    expect(row(page, "leaves").locator(".badge")).to_have_text("Start unknown")
    assert is_red(row(page, "leaves").locator(".badge"))
    for dag_id in ("leaves", "retried"):
        error = row(page, dag_id).locator(".error")
        expect(error).to_have_text(WHAT_TO_DO.strip())
        assert error.evaluate("error => error.scrollHeight <= error.clientHeight + 1")


@pytest.mark.parametrize(
    ("wait", "label", "shown_import"),
    [
        (running("leaves", **without_import(PublishedStartState.STARTING)), "Starting", "no import yet"),
        (seeded("leaves", **without_import(PublishedStartState.NOT_AWAITED)), "Started", DASH),
        (failed("leaves", **without_import(PublishedStartState.NOT_STARTED)), "Failed", DASH),
    ],
)
def test_a_start_has_its_label(open_page: OpenPage, wait: SeededWait, label: str, shown_import: str) -> None:
    page = open_page(wait)
    expect(row(page, "leaves").locator(".badge")).to_have_text(label)
    expect(row(page, "leaves").locator("td[data-label=Import]")).to_contain_text(shown_import)
    expect(row(page, "leaves").locator("td[data-label=Import] a")).to_have_count(0)


# ---- The details


def test_details_have_the_files_and_the_error_file(open_page: OpenPage) -> None:
    files = [{"name": "1.parquet", "state": "Failed", "imported_rows": 5, "total_rows": 1000, "error": "<b>row 6</b>"}]
    found = {"error_file": "https://vendor.example/errors.csv", "files": files}
    details = open_details(open_page(failed("leads", details=found)), "leads")
    expect(details.get_by_role("link", name="Error file")).to_have_attribute("href", found["error_file"])
    expect(details.get_by_role("table", name="Files").get_by_role("row").last).to_have_text(
        "1.parquetFailed5 of 1,000<b>row 6</b>"
    )


def test_details_have_absolute_times_and_the_start(open_page: OpenPage) -> None:
    page = open_page(seeded("leaves", began=2 * HOUR, **without_import(PublishedStartState.NOT_AWAITED)))
    details = open_details(page, "leaves")
    expect(details).to_contain_text(re.compile(r"2 h ago · [\w ,]*\d\d:\d\d:\d\d"))
    expect(details).to_contain_text("Started with the file '/data/leaves.csv'. The task did not wait for the import.")


def earlier(count: int) -> list[SeededWait]:
    """Make earlier runs of the DAG, of ten minutes each, the first of which failed."""
    return [
        (failed if number == 0 else seeded)("nightly", run_id=f"run_{number}", began=(count - number + 5) * HOUR)
        for number in range(count)
    ]


def test_a_slow_import_is_compared_with_its_earlier_runs(open_page: OpenPage) -> None:
    page = open_page(*earlier(7), running("nightly", began=90 * MINUTE), query="?state=under_way")
    details = open_details(page, "nightly")
    text = "Slower than usual: 1 h 30 min so far, usually 10 min (median of 6)"
    expect(details.get_by_text(text)).to_be_visible()
    chart = details.locator("svg.durations")
    expect(chart).to_have_attribute("aria-label", re.compile(re.escape(text)))
    expect(chart.locator("rect")).to_have_count(8)
    expect(chart.locator("rect").first.locator("title")).to_have_text(re.compile(r"\d\d:\d\d:\d\d: 10 min, Failed"))
    expect(chart.locator("rect").last).to_have_class("own")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_the_details_are_worth_showing(
    open_page: OpenPage, color_scheme: ColorScheme, screenshots: Screenshots
) -> None:
    now = time.time()
    start = PublishedStart(
        state=PublishedStartState.STARTED, sent_at=now - 30 * MINUTE, content="the file '/data/leaves.csv'"
    )
    usual = [
        seeded("leaves", run_id=f"scheduled__{day}", began=day * 24 * HOUR, took=(10 + day * 7 % 5) * MINUTE)
        for day in range(1, 30)
    ]
    today = running(
        "leaves",
        began=30 * MINUTE,
        run_id=f"scheduled__{datetime.now(UTC):%Y-%m-%d}T02:00:00+00:00",
        progress=("running", 62.0),
        import_id="3c90cc3c-0d44-4b50-8888-8dd25736052a",
        start=start,
        history=[(now - 30 * MINUTE + 30 * step, step) for step in range(61)],
        ends_at=now + 18 * MINUTE,
    )
    page = open_page(*usual, today, color_scheme=color_scheme, size=(1280, 820), query="?state=under_way")
    expect(open_details(page, "leaves").locator("svg.durations")).to_be_visible()
    screenshots.take(page, f"imports-page-details-{color_scheme}", "#waits")


def test_a_usual_duration_is_not_called_slow(open_page: OpenPage) -> None:
    page = open_page(*earlier(7), running("nightly", began=9 * MINUTE), query="?state=under_way")
    expect(open_details(page, "nightly").get_by_text("Usually 10 min (median of 6)")).to_be_visible()


def test_a_first_run_has_nothing_to_be_compared_with(open_page: OpenPage) -> None:
    details = open_details(open_page(running("nightly")), "nightly")
    expect(details.get_by_text("No earlier import of this task has succeeded or failed")).to_be_visible()
    expect(details.locator("svg.durations")).to_have_count(0)


# ---- The phone


def test_everything_fits_a_phone(open_page: OpenPage) -> None:
    files = [{"name": "a/path/" * 20, "state": "Failed", "imported_rows": 5, "total_rows": 1000, "error": "x" * 200}]
    waits = [*earlier(7), failed("a_name_" * 10, error="x" * 300, details={"files": files}), *many(60)]
    page = open_page(*waits, running("nightly"), size=PHONE)
    open_details(page, "a_name_" * 10)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("button", name="Took").click()
    expect(page.get_by_role("columnheader", name="Took")).to_have_attribute("aria-sort", "descending")
