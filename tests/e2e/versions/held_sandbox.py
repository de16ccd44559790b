# SPDX-License-Identifier: Apache-2.0
"""A sandbox whose imports last until a test lets them end."""

from __future__ import annotations

from dataclasses import replace

from airflow_import_progress.sandbox import Sandbox

#: Longer than any test, in seconds.
_FOREVER = 86_400.0


class HeldSandbox(Sandbox):
    """A sandbox whose imports last until they are released."""

    def __init__(self) -> None:
        super().__init__(import_duration=_FOREVER)

    def release(self) -> None:
        """Let all imports end, and those that are started from now on end at once."""
        with self._world.locked():
            self._world.import_duration = 0.0
            for import_ in self._world.imports():
                import_.script = replace(import_.script, points=((0.0, 100.0),))
