# SPDX-License-Identifier: Apache-2.0
"""
Tables and plots of the figures.

``python -m benchmarks.report`` puts those of ``results/`` into ``docs/performance.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
NAMES = {
    "ours": "this provider",
    "ours, no collector": "the same, garbage collector off",
    "peer": "HttpSensorTrigger",
    "floor": "bare aiohttp",
    "idle": "sleeping only",
}
LIMITS = {"adapts": "adapts (this provider)", "fixed": "fixed, undivided", "divided": "fixed, divided by hand"}
COLOURS = {"ours": "#1b7837", "peer": "#b2182b", "floor": "#878787", "idle": "#c7c7c7"}

Rows = list[list[str]]


def rows_of(name: str, figures: dict[str, Any]) -> Rows:
    """
    Return a figure as the rows of a table, the heading first.

    :param name: The figure.
    :param figures: What was measured.
    """
    return _ROWS[name](figures)


def show(name: str, figures: dict[str, Any]) -> None:
    """
    Print a figure as a table.

    :param name: The figure.
    :param figures: What was measured.
    """
    heading, *rows = rows_of(name, figures)
    table = Table(*heading, title=name.replace("_", " "))
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 130).print(table)


def _cpu_rows(figures: dict[str, Any]) -> Rows:
    rows = [["waits", "interval", "begun", "peer / ours", "ours / floor", "ours, ms per poll", "peer", "floor"]]
    for setting in figures["settings"]:
        milliseconds = (
            f"{_median([run[contender]['cpu_ms_per_poll'] for run in setting['runs']]):.2f}"
            for contender in ("ours", "peer", "floor")
        )
        rows.append(
            [
                f"{setting['waits']:,}",
                f"{setting['poke_interval']:g} s",
                setting["begun"],
                _ratio(setting["peer_to_ours"]),
                _ratio(setting["ours_to_floor"]),
                *milliseconds,
            ]
        )
    return rows


def _many_rows(figures: dict[str, Any]) -> Rows:
    rows = [["10,000 waits", *(NAMES[contender] for contender in figures["lag"])]]
    for key, words in {
        "lag_p50_ms": "event loop lag, median, ms",
        "lag_p99_ms": "event loop lag, p99, ms",
        "lag_max_ms": "event loop lag, max, ms",
        "blocked_warnings": 'times that Airflow warns "async thread was blocked"',
        "polls": "polls",
        "cpu_share": "share of one core",
    }.items():
        rows.append(
            [words, *(f"{lag[key]:,.0f}" if lag[key] >= 100 else f"{lag[key]:.3g}" for lag in figures["lag"].values())]
        )
    longest = (f"{max(lag['longest_collections_ms'], default=0):.3g}" for lag in figures["lag"].values())
    rows.append(["longest garbage collection, ms", *longest])
    for key, words in {"rss": "memory per wait, KiB (RSS)", "traced": "memory per wait, KiB (tracemalloc)"}.items():
        memory = (figures["memory"].get(contender) for contender in figures["lag"])
        rows.append([words, *(f"{measured[key]:.1f}" if measured else "" for measured in memory)])
    for point in figures["growth"]:
        words = f"{point['waits']:,} waits at 10 s: share of one core; ms per poll"
        rows.append([words, f"{point['cpu_share']:.3f}; {point['cpu_ms_per_poll']:.2f}"])
    return rows


def _detection_rows(figures: dict[str, Any]) -> Rows:
    interval = f"every {figures['poke_interval']:g} s"
    rows = [
        [
            "progress",
            "reported in",
            "takes",
            "requests",
            "seen after",
            interval,
            "seen after",
            "as soon: every",
            "requests",
            "",
        ]
    ]
    for shape in figures["shapes"]:
        fixed, as_soon = shape["fixed"], shape["fixed_as_soon"]
        rows.append(
            [
                shape["shape"],
                {"whole": "whole percents", "fine": "records"}[shape["told"]],
                f"{shape['duration']:,.0f} s",
                f"{shape['requests']:.1f}",
                f"{shape['lag']:.1f} s",
                f"{fixed['requests']:.1f}",
                f"{fixed['lag']:.1f} s",
                f"{as_soon['interval']:.1f} s",
                f"{as_soon['requests']:,.0f}",
                f"{shape['ratio']:.1f} times",
            ]
        )
    return rows


def _rate_rows(figures: dict[str, Any]) -> Rows:
    rows = [["", NAMES["ours"], NAMES["peer"]]]
    for key, words in {
        "seconds": "seconds",
        "requests": "requests",
        "answered_429": "answered 429",
        "imports_polled": "imports polled, of 500",
        "polls_per_import_least": "polls of an import, least",
        "polls_per_import_most": "polls of an import, most",
    }.items():
        rows.append([words, *(f"{figures[contender][key]:,.10g}" for contender in ("ours", "peer"))])
    rows.append(["waits that ended with an error", *(str(_ended(figures[name])) for name in ("ours", "peer"))])
    return rows


def _workspace_rows(figures: dict[str, Any]) -> Rows:
    requests = {
        waits: [f"{figures[f'{contender}_{waits}']['requests']:,}" for contender in ("ours", "peer")]
        for waits in (1, 200)
    }
    return [
        ["requests", NAMES["ours"], NAMES["peer"]],
        ["1 wait", *requests[1]],
        ["200 waits", *requests[200]],
        ["ratio", f"{figures['ours_ratio']:.2f}", f"{figures['peer_ratio']:.2f}"],
    ]


def _worker_rows(figures: dict[str, Any]) -> Rows:
    modes = {mode: [one[mode] for one in figures["rounds"]] for mode in ("without_workers", "deferred")}
    modes["rescheduled"] = [figures["rescheduled"]]
    rows = [
        [
            f"{figures['waits']} waits",
            *(mode.replace("_", " ") for mode in modes),
            "deferred / without workers",
        ]
    ]

    def add(words: str, look: Callable[[dict[str, Any]], float], digits: int = 1) -> None:
        values = {mode: [look(run) for run in runs] for mode, runs in modes.items()}
        # A share of what is next to nothing says nothing.
        sizeable = min(*values["deferred"], *values["without_workers"]) > 0.5
        ratio = _ratios(values["deferred"], values["without_workers"]) if sizeable else ""
        rows.append([words, *(_spread(numbers, digits) for numbers in values.values()), ratio])

    add("worker starts for the waits", lambda run: run["worker_starts_for_waits_in_the_log"], 0)
    add("seconds for which the waits held a worker", lambda run: run["worker_seconds_for_waits"])
    add("CPU s: workers, for the waits", lambda run: run["worker_cpu_for_waits"])
    add("CPU s: workers, for the other 51 tasks", lambda run: run["worker_cpu"] - run["worker_cpu_for_waits"])
    for component in ("scheduler", "triggerer", "api_server", "dag_processor", "database"):
        words = {"api_server": "API server", "dag_processor": "DAG processor"}.get(component, component)
        add(f"CPU s: {words}", lambda run, component=component: run["cpu"][component])  # type: ignore[misc]
    add("CPU s: in all", _cpu_in_all)
    for key, words in {
        "end_to_seen": "s from the import's end to the poll that sees it",
        "seen_to_next_step": "s from there to the start of the next task",
        "end_to_next_step": "s from the import's end to the start of the next task",
    }.items():
        for statistic in ("median", "p90", "max"):
            add(f"{words}, {statistic}", lambda run, key=key, statistic=statistic: run[key][statistic])  # type: ignore[misc]
    return rows


def _operator_rows(figures: dict[str, Any]) -> Rows:
    imports = figures["imports"]
    rows = [["", "operator", "task and sensor", "task and sensor / operator"]]
    lines = [figures["lines"][dag_id] for dag_id in ("with_operator", "with_sensor")]
    rows.append(["lines of the DAG's file", *map(str, lines), _ratios(lines[1:], lines[:1])])

    def add(words: str, look: Callable[[dict[str, Any]], float], digits: int = 1) -> None:
        operator, sensor = (
            [look(one[dag_id]) for one in figures["rounds"]] for dag_id in ("with_operator", "with_sensor")
        )
        rows.append([words, _spread(operator, digits), _spread(sensor, digits), _ratios(sensor, operator)])

    add("worker starts per import", lambda run: run["worker_starts"] / imports)
    add("seconds for which workers were held, per import", lambda run: run["worker_seconds"] / imports)
    add("CPU s per import: workers", lambda run: run["worker_cpu"] / imports, 2)
    add("CPU s per import: API server", lambda run: run["cpu"]["api_server"] / imports, 2)
    add("CPU s per import: in all", lambda run: _cpu_in_all(run) / imports, 2)
    for method, words in {"POST": "starts", "GET": "polls"}.items():
        add(f"requests per import: {words}", lambda run, method=method: run["requests"][method] / imports, 2)  # type: ignore[misc]
    for statistic in ("median", "max"):
        words = f"s from the import's end to the task's end, {statistic}"
        add(words, lambda run, statistic=statistic: run["end_to_success"][statistic])  # type: ignore[misc]
    return rows


def _many_without_workers_rows(figures: dict[str, Any]) -> Rows:
    runs = (figures["ten_runs"], figures["one_run"])
    rows = [[f"{figures['waits']} waits", "10 runs of 50", "1 run of 500"]]
    for statistic in ("median", "max"):
        words = f"s from the end of the first upload to the first poll, {statistic}"
        rows.append([words, *(f"{run['seconds_to_first_poll'][statistic]:.1f}" for run in runs)])
    for key, words in {
        "blocked_warnings": 'times that Airflow warns "async thread was blocked"',
        "blocked_seconds": "s blocked in all",
        "blocked_longest": "s blocked at once, at most",
        "seconds_from_end_to_success": "s from the imports' end to the success of all waits",
    }.items():
        rows.append([words, *(f"{run[key]:,.0f}" if run[key] >= 100 else f"{run[key]:.3g}" for run in runs)])
    for component in ("triggerer", "scheduler", "api_server", "database"):
        words = f"CPU s until all are polled: {component.replace('api_server', 'API server')}"
        rows.append([words, *(f"{run['cpu_until_polled'][component]:.1f}" for run in runs)])
    return rows


def _shared_limit_rows(figures: dict[str, Any]) -> Rows:
    rows = [
        [
            "limit",
            "processes",
            "foreign client",
            "answered 429",
            "of the limit used",
            "largest / smallest share",
            "polls of a wait, least",
            "waits that ended",
        ]
    ]
    for setting in figures["settings"]:
        percents = (f"{100 * setting[name]:.1f} %" for name in ("answered_429", "used"))
        # Shares are compared between several processes.
        share = f"{setting['largest_to_smallest_share']:.2f}" if setting["processes"] > 1 else ""
        numbers = (f"{setting[name]}" for name in ("polls_least", "ended"))
        rows.append(
            [
                LIMITS[setting["limit"]],
                f"{setting['processes']}",
                f"{setting['foreign']} a minute",
                *percents,
                share,
                *numbers,
            ]
        )
    return rows


def _imports_page_rows(figures: dict[str, Any]) -> Rows:
    rows = [
        [
            "waits kept",
            "under way",
            "database",
            "asked for",
            "queries",
            "until it answers, ms",
            "of it the database, ms",
            "CPU of the API server, ms",
            "KiB",
        ]
    ]
    asked = {
        "list": "the list with the summary",
        "list_of_a_vendor": "the list of a vendor",
        "search": "a search",
        "sorted": "the list by duration",
        "command": "the list of the command",
        "list_of_ten_years": "the list of ten years",
        "search_of_ten_years": "a search in ten years",
        "sorted_of_ten_years": "ten years by duration",
        "last_page_of_ten_years": "their last page",
        "one": "one wait with its history",
    }
    for database, measured in figures["databases"].items():
        for stored in measured:
            for key, words in asked.items():
                if key not in stored:  # results of before there was a choice of time
                    continue
                answer = stored[key]
                times = (f"{answer[name]:.3g}" for name in ("median_ms", "database_ms", "cpu_ms"))
                counts = f"{stored['stored']:,}", f"{stored['under_way']:,}"
                rows.append([*counts, database, words, f"{answer['queries']}", *times, f"{answer['answer_kib']:.3g}"])
    return rows


_ROWS: dict[str, Callable[[dict[str, Any]], Rows]] = {
    "cpu_per_poll": _cpu_rows,
    "many_waits": _many_rows,
    "requests_for_a_lag": _detection_rows,
    "under_rate_limit": _rate_rows,
    "simulated_shared_limit": _shared_limit_rows,
    "shared_limit": _shared_limit_rows,
    "one_workspace": _workspace_rows,
    "without_workers": _worker_rows,
    "many_without_workers": _many_without_workers_rows,
    "operator_and_sensor": _operator_rows,
    "imports_page": _imports_page_rows,
}


def _cpu_in_all(run: dict[str, Any]) -> float:
    # The executor's own figures of the workers are exact.
    return float(sum(run["cpu"].values()) - run["cpu"]["workers"] + run["worker_cpu"])


def _ended(figures: dict[str, Any]) -> int:
    return sum(count for event, count in figures["events"].items() if event != "success")


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _spread(values: list[float], digits: int) -> str:
    median, least, most = (f"{value:,.{digits}f}" for value in (_median(values), min(values), max(values)))
    return median if least == most else f"{median} ({least} to {most})"


def _ratios(above: list[float], below: list[float]) -> str:
    return _spread([one / other for one, other in zip(above, below, strict=True)], 2)


def _ratio(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"


# The page --------------------------------------------------------------------------------------------------


def _plot_cpu(axes: Any, figures: dict[str, Any]) -> None:
    for index, contender in enumerate(("peer", "ours", "floor")):
        heights = [
            _median([run[contender]["cpu_ms_per_poll"] / run["floor"]["cpu_ms_per_poll"] for run in setting["runs"]])
            for setting in figures["settings"]
        ]
        places = [place + (index - 1) * 0.27 for place in range(len(heights))]
        axes.bar(places, heights, width=0.25, color=COLOURS[contender], label=NAMES[contender])
    labels = [
        f"{setting['waits']:,} waits\n{setting['poke_interval']:g} s, {setting['begun']}"
        for setting in figures["settings"]
    ]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel("CPU per poll, floor = 1")
    axes.legend()


def _plot_growth(axes: Any, figures: dict[str, Any]) -> None:
    waits = [point["waits"] for point in figures["growth"]]
    shares = [100 * point["cpu_share"] for point in figures["growth"]]
    axes.loglog(waits, shares, "o-", color=COLOURS["ours"], label=NAMES["ours"])
    axes.loglog(waits, [shares[0] * count / waits[0] for count in waits], "--", color=COLOURS["floor"], label="linear")
    axes.set_xlabel("waits, each polled every 10 s")
    axes.set_ylabel("percent of one core")
    axes.legend()


def _plot_detection(axes: Any, figures: dict[str, Any]) -> None:
    names = list(dict.fromkeys(shape["shape"] for shape in figures["shapes"]))
    for index, (told, colour) in enumerate((("whole", COLOURS["idle"]), ("fine", COLOURS["ours"]))):
        for place, name in enumerate(names):
            ratios = [shape["ratio"] for shape in figures["shapes"] if (shape["shape"], shape["told"]) == (name, told)]
            if ratios:
                label = {"whole": "whole percents", "fine": "records"}[told] if not place else None
                axes.bar(place + (index - 0.5) * 0.4, _median(ratios), width=0.38, color=colour, label=label)
    axes.axhline(1, color=COLOURS["floor"], linestyle="--")
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("requests of a fixed interval\nthat sees the end as soon, ours = 1")
    axes.legend()


def _plot_requests(axes: Any, figures: dict[str, Any]) -> None:
    for place, contender in enumerate(("ours", "peer")):
        per_minute = 60 / figures[contender]["seconds"]
        refused = figures[contender]["answered_429"] * per_minute
        answered = figures[contender]["requests"] * per_minute - refused
        axes.bar(place, answered, color=COLOURS["ours"], label="answered" if place else None)
        axes.bar(place, refused, bottom=answered, color=COLOURS["peer"], label="refused with 429" if place else None)
    axes.axhline(figures["limit_per_minute"], color=COLOURS["floor"], linestyle="--", label="the vendor's limit")
    axes.set_yscale("log")
    axes.set_xticks((0, 1), [NAMES["ours"], NAMES["peer"]])
    axes.set_ylabel("requests per minute")
    axes.legend()


_PLOTS: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "cpu_per_poll": _plot_cpu,
    "many_waits": _plot_growth,
    "requests_for_a_lag": _plot_detection,
    "under_rate_limit": _plot_requests,
}


def update_page() -> None:
    """Put the tables of the last full runs between their marks, and draw the plots."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same figures make the same file.
    mpl.rcParams["svg.hashsalt"] = "performance"
    from matplotlib import pyplot

    page = PAGE.read_text()
    PLOTS.mkdir(exist_ok=True)
    for name in _ROWS:
        source = Path(__file__).parent / "results" / f"{name}.json"
        if not source.exists():
            continue
        figures = json.loads(source.read_text())
        heading, *rows = rows_of(name, figures)
        lines = [heading, ["---"] * len(heading), *rows]
        # A figure of one contender alone leaves the cells of the others empty.
        filled = [line + [""] * (len(heading) - len(line)) for line in lines]
        table = "\n".join(f"| {' | '.join(line)} |" for line in filled)
        measured = f"Measured on: {figures['machine']}; commit {figures['commit']}."
        block = f"<!-- {name} -->\n\n{table}\n\n{measured}\n\n<!-- end -->"
        before, _, after = page.partition(f"<!-- {name} -->")
        page = before + block + after.partition("<!-- end -->")[2]
        if name in _PLOTS:
            drawing, axes = pyplot.subplots(figsize=(7.5, 3.6), layout="constrained")
            _PLOTS[name](axes, figures)
            drawing.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
    PAGE.write_text(page)


if __name__ == "__main__":
    update_page()
