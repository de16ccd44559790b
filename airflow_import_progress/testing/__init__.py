# SPDX-License-Identifier: Apache-2.0
"""
A plugin of pytest for tests of DAGs: the fixture ``import_sandbox`` simulates the vendors, in virtual time.

See ``docs/testing.md``. pytest loads this module in every run where the package is installed, so it imports nothing
else until a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_import_progress.testing.vendors import ImportSandbox, ScriptedImport, ScriptedVendor

__all__ = ["ImportSandbox", "ScriptedImport", "ScriptedVendor", "import_sandbox"]


@pytest.fixture
def import_sandbox() -> Iterator[ImportSandbox]:
    """Provide simulated vendors to which Airflow's connections lead, in virtual time."""
    from airflow_import_progress.testing.vendors import ImportSandbox

    with ImportSandbox() as sandbox:
        yield sandbox
        sandbox.report()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"{__name__} has no {name!r}")
        from airflow_import_progress.testing import vendors

        return getattr(vendors, name)
