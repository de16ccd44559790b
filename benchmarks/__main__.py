# SPDX-License-Identifier: Apache-2.0
"""
Measure all figures, or those that the command line names, show them, and put them into ``docs/performance.md``.

``BENCH_SECONDS`` makes for short runs, whose figures are only shown, and kept in ``results/quick``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.figures import FIGURES
from benchmarks.report import show, update_page
from tools.guard import leave_blocks_on_signals

RESULTS = Path(__file__).parent / "results"


def main(names: list[str]) -> None:
    """
    Measure and show.

    :param names: The figures; none: all of them.
    """
    seconds = float(os.environ["BENCH_SECONDS"]) if os.environ.get("BENCH_SECONDS") else None
    folder = RESULTS / "quick" if seconds else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    # Before the results are written, which belong to it too.
    origin = {"machine": _machine(), "commit": _commit()}
    for name in names or FIGURES:
        print(f"Measuring {name} ...", flush=True)
        figures = {**origin, **FIGURES[name](seconds)}
        (folder / f"{name}.json").write_text(f"{json.dumps(figures, indent=2)}\n")
        show(name, figures)
    if not seconds:
        update_page()


def _commit() -> str:
    describe = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(describe, cwd=RESULTS.parent, stdout=subprocess.PIPE, text=True).stdout.strip()  # noqa: S603


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    leave_blocks_on_signals()
    main(sys.argv[1:])
