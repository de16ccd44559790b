# SPDX-License-Identifier: Apache-2.0
"""
Draw the picture of the command ``watch`` in the documentation, of a real watch of an import in the sandbox.

``python -m demo.watch_image docs/images/watch.svg`` does, within a minute.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from airflow_import_progress.cli.bar import BarDisplay, make_console
from airflow_import_progress.cli.state import LogLine, WatchState
from airflow_import_progress.sandbox import Sandbox

_IMPORT_ID = "IMP-7F3A"
_IMPORT_SECONDS = 60
_POLLS = 6
_WIDTH = 104


class _TakenError(Exception):
    """Raised when there is enough to see."""


class _Picture(BarDisplay):
    """The bar, standing still, once so many polls were answered."""

    _polls_left = _POLLS

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """
        Take the picture when it is time.

        :param lines: The lines that the wait logged for the poll.
        """
        self.on_log(lines)
        self._polls_left -= 1
        if not self._polls_left:
            self.state.next_poll_at = self.state.polled_at and self.state.polled_at + 4
            self.console.print(self.render())
            raise _TakenError


def main() -> int:
    """Watch an import for a while, write the picture, and return the exit status."""
    (file,) = sys.argv[1:]
    out = io.StringIO()
    picture = _Picture(WatchState(None), out, make_console(out, width=_WIDTH, color_system="truecolor", record=True))
    picture.console.print(f"$ airflow-import-progress watch leadsy {_IMPORT_ID} --max-failed-records 10")
    with tempfile.TemporaryDirectory() as home, Sandbox() as sandbox:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW_CONN_LEADSY_DEFAULT"] = json.dumps(sandbox.airflow_connection("leadsy"))
        script = {"duration": _IMPORT_SECONDS, "records": 3000, "failed_records": 4}
        sandbox.create_import("leadsy", "lead", script, _IMPORT_ID)
        sandbox.add_fault({"delay": 0}, import_id=_IMPORT_ID, times=2)
        sandbox.add_fault({"status": 503}, import_id=_IMPORT_ID)
        # Airflow reads its home as it is imported.
        from airflow_import_progress.cli.watching import watch
        from airflow_import_progress.sensors.leadsy import LeadsyImportSensor

        sensor = LeadsyImportSensor(
            task_id="watch", import_code=_IMPORT_ID, max_failed_records=10, poke_interval=5, timeout=3600
        )
        try:
            watch(sensor, picture)
        except _TakenError:
            Path(file).write_text(_svg(picture))
            return 0
    return 1


def _svg(picture: _Picture) -> str:
    # Without the fonts, which would come from another server.
    svg = picture.console.export_svg(title="airflow-import-progress", unique_id="watch")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
