# SPDX-License-Identifier: Apache-2.0
"""The vendor that docs/add-a-vendor.md adds, added to a copy of the project from the page alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = "airflow_import_progress"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a copy of the project to which the page's vendor was added."""
    project = tmp_path_factory.mktemp("project")
    for part in (PACKAGE, "tools", "tests/unit", "tests/integration", "tests/support"):
        shutil.copytree(ROOT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / file, project / file)
    page = (ROOT / "docs/add-a-vendor.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    hooks, sensors, vendor, connection, kind, sandbox, tests = blocks
    (project / PACKAGE / "hooks/acme.py").write_text(hooks)
    (project / PACKAGE / "sensors/acme.py").write_text(sensors)
    (project / PACKAGE / "sandbox/acme.py").write_text(sandbox)
    (project / "tests/integration/test_acme_hook.py").write_text(tests)
    enter_provider_info(project / PACKAGE / "provider_info.py", vendor, connection)
    enter_kind(project / PACKAGE / "cli/kinds.py", kind)
    enter_registry(project / PACKAGE / "sandbox/registry.py")
    return project


def enter_provider_info(file, vendor, connection):
    source = file.read_text()
    for beginning, entry in (("_VENDORS = {\n", vendor), ('        "connection-types": [\n', connection)):
        assert source.count(beginning) == 1
        source = source.replace(beginning, beginning + entry)
    file.write_text(source)


def enter_kind(file, entry):
    """Put the page's entry into the table."""
    source, end = file.read_text(), "    ),\n)\n"
    assert source.endswith(end)
    file.write_text(f"{source.removesuffix(end)}    ),\n{textwrap.indent(entry.rstrip(), '    ')},\n)\n")


def enter_registry(file):
    source = file.read_text()
    for before, after in (
        (f"from {PACKAGE}.sandbox.leadsy", f"from {PACKAGE}.sandbox.acme import Acme\nfrom {PACKAGE}.sandbox.leadsy"),
        ("] = (", "] = (Acme(), "),
    ):
        assert source.count(before) == 1
        source = source.replace(before, after)
    file.write_text(source)


def run(project, *command):
    return subprocess.run(command, cwd=project, capture_output=True, text=True)  # noqa: S603


def test_its_tests_pass(project):
    done = run(project, sys.executable, "-m", "pytest", "-q", "tests/integration/test_acme_hook.py")
    assert done.returncode == 0, done.stdout


def test_airflow_is_told_of_it(project):
    done = run(
        project, sys.executable, "-m", "pytest", "-q", "tests/unit/test_provider_info.py", "-k", "acme or schema"
    )
    assert done.returncode == 0, done.stdout


def test_its_imports_can_be_watched(project):
    done = run(project, sys.executable, "-m", "pytest", "-q", "tests/unit/test_cli_arguments.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("tool", "arguments"), [("ruff", ["check", "--no-cache", "."]), ("lint-imports", ["--no-cache"])]
)
def test_it_keeps_the_rules_of_the_project(project, tool, arguments):
    executable = Path(sys.executable).with_name(tool)
    if not executable.exists():
        pytest.skip(f"{tool} is not installed here, as with the lowest versions")
    done = run(project, str(executable), *arguments)
    assert done.returncode == 0, done.stdout
