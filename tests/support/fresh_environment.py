# SPDX-License-Identifier: Apache-2.0
"""A fresh environment with the wheel of this package and other distributions beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: The fixtures and helpers with which this package is tested, for tests of other packages.
HELPERS = ("tests/__init__.py", "tests/conftest.py", "tests/integration/__init__.py", "tests/integration/conftest.py")

PIP_INSTALL = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed")


class FreshEnvironment:
    """
    An environment into which distributions are built and installed.

    What they need comes from the environment of the tests, so that nothing is downloaded.

    :param folder: An empty folder.
    :param projects: The folders of the projects to install beside this one.
    """

    def __init__(self, folder: Path, *projects: Path) -> None:
        self.folder = folder / "environment"
        self.home = folder / "airflow"
        wheels = build_wheels(folder / "wheels", ROOT, *projects)
        _run(sys.executable, "-m", "venv", "--without-pip", str(self.folder), cwd=folder)
        (site_packages,) = self.folder.glob("lib/python*/site-packages")
        installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (site_packages / "environment_of_the_tests.pth").write_text("".join(f"{path}\n" for path in installed))
        _run(self.executable("python"), *PIP_INSTALL, *wheels, cwd=folder)

    def executable(self, name: str) -> str:
        """Return the path of a command."""
        return str(self.folder / "bin" / name)

    def run(self, *command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, and return what came of it."""
        return subprocess.run(  # noqa: S603
            [self.executable(command[0]), *command[1:]],
            cwd=cwd,
            env=self.variables(**environment),
            capture_output=True,
            text=True,
        )

    def variables(self, **environment: str) -> dict[str, str]:
        """Return the environment variables of its processes. Python finds only what is installed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**inherited, "AIRFLOW_HOME": str(self.home), **environment}


def build_wheels(folder: Path, *projects: Path) -> list[str]:
    """Build the wheels of projects into a folder, and return their paths."""
    for project in projects:
        _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder), cwd=project)
    return [str(wheel) for wheel in folder.glob("*.whl")]


def install_into(folder: Path, *projects: Path) -> None:
    """
    Build distributions, and install them into a folder without changing the environment of the tests.

    :param folder: An empty folder, which processes that should find the distributions have in their ``PYTHONPATH``.
    :param projects: The folders of the projects.
    """
    with tempfile.TemporaryDirectory() as wheels:
        built = build_wheels(Path(wheels), *projects)
        _run(sys.executable, *PIP_INSTALL, "--target", str(folder), *built, cwd=folder)


def copy_helpers(folder: Path) -> None:
    """Copy the fixtures and helpers of the tests into a folder without the package."""
    for file in HELPERS:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    shutil.copytree(ROOT / "tests/support", folder / "tests/support", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\nasyncio_mode = auto\n")


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
