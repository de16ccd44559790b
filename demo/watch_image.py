# SPDX-License-Identifier: Apache-2.0
"""
Draw the picture of the command ``watch`` for the documentation, from a real import in the sandbox.

Run ``python -m demo.watch_image docs/images/watch.svg``. It takes less than a minute.
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

from airflow_import_progress.cli.bar import Bar, make_console
from airflow_import_progress.cli.watched import LogLine, WatchedImport
from airflow_import_progress.sandbox import Sandbox

_IMPORT_ID = "IMP-7F3A"
_IMPORT_SECONDS = 60
_POLLS = 6
_WIDTH = 104


class _TakenError(Exception):
    """Raised when the picture is taken."""


class _Picture(Bar):
    """The progress bar, drawn once after a number of polls."""

    _polls_left = _POLLS

    def on_progress(self, lines: Sequence[LogLine]) -> None:
        """
        Take the picture after the last poll.

        :param lines: The lines that were logged with it.
        """
        self.on_log(lines)
        self._polls_left -= 1
        if not self._polls_left:
            state = self.watched.state
            state.next_poll_at = state.polled_at and state.polled_at + 4
            self.console.print(self.render())
            raise _TakenError


def main() -> int:
    """Watch an import, write the picture, and return the exit status."""
    (file,) = sys.argv[1:]
    watched, out = WatchedImport(None), io.StringIO()
    picture = _Picture(watched, out, make_console(out, width=_WIDTH, color_system="truecolor", record=True))
    picture.console.print(f"$ airflow-import-progress watch leadsy {_IMPORT_ID} --max-failed-records 10")
    with tempfile.TemporaryDirectory() as home, Sandbox() as sandbox:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW_CONN_LEADSY_DEFAULT"] = json.dumps(sandbox.airflow_connection("leadsy"))
        script = {"duration": _IMPORT_SECONDS, "records": 3000, "failed_records": 4}
        sandbox.create_import("leadsy", "lead", script, _IMPORT_ID)
        sandbox.add_fault({"delay": 0}, import_id=_IMPORT_ID, times=2)
        sandbox.add_fault({"status": 503}, import_id=_IMPORT_ID)
        # Imported here, because Airflow reads its home when it is imported.
        from airflow_import_progress.cli.watching import watch
        from airflow_import_progress.sensors.leadsy import LeadsyImportSensor

        sensor = LeadsyImportSensor(
            task_id="watch", import_code=_IMPORT_ID, max_failed_records=10, poke_interval=5, timeout=3600
        )
        try:
            watch(sensor, picture, watched)
        except _TakenError:
            Path(file).write_text(_svg(picture))
            return 0
    return 1


def _svg(picture: _Picture) -> str:
    # Without the fonts, because they would be loaded from another server.
    svg = picture.console.export_svg(title="airflow-import-progress", unique_id="watch")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
