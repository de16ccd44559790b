# SPDX-License-Identifier: Apache-2.0
"""The packages with vendors of their own: that of docs/add-a-vendor.md, and that of examples/."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.fresh_environment import ROOT

PAGE = ROOT / "docs/add-a-vendor.md"
EXAMPLE = ROOT / "examples/gitlab_imports"


def write_package_of_page(folder: Path) -> None:
    """Write the files of the page's package into an empty folder."""
    files = re.findall(r"^## `([^`]+)`[^\n]*\n.*?^```(?:python|toml)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.M)
    for name, code in files:
        file = folder / (name if name in ("pyproject.toml", "tests/test_acme.py") else f"acme_imports/{name}")
        file.parent.mkdir(exist_ok=True)
        file.write_text(code)
    for name in ("__init__.py", "py.typed"):
        (folder / "acme_imports" / name).touch()
