# SPDX-License-Identifier: Apache-2.0
"""What people download: everything that they need, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import airflow_import_progress

ROOT = Path(airflow_import_progress.__file__).parent.parent
PAGE = {str(file.relative_to(ROOT)) for file in (ROOT / "airflow_import_progress/plugin/page").iterdir()}
MODULES = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("airflow_import_progress/**/*.py")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("hatchling", reason="built by the development tools only")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603
    return folder


def test_the_wheel_has_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == MODULES | PAGE | {"airflow_import_progress/py.typed"}


def test_the_wheel_tells_airflow_of_the_provider_and_has_its_license(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        info = {name.partition(".dist-info/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        entry_points = archive.read(info["entry_points.txt"]).decode()
        metadata = archive.read(info["METADATA"]).decode()
    assert "[apache_airflow_provider]\nprovider_info = airflow_import_progress.provider_info:" in entry_points
    assert "[airflow.plugins]\nimport_progress = airflow_import_progress.plugin:ImportProgressPlugin" in entry_points
    assert "[console_scripts]\nairflow-import-progress = airflow_import_progress.cli.main:main\n" in entry_points
    assert "licenses/LICENSE" in info
    assert "Classifier: Framework :: Apache Airflow :: Provider\n" in metadata
    assert "Requires-Dist: apache-airflow>=2.11\n" in metadata


def test_links_and_images_of_the_description_are_absolute_because_pypi_has_no_files_beside_it(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        description = archive.read(metadata).decode().partition("\n\n")[2]
    targets = re.findall(r"""\]\(([^)\s]+)|\b(?:src|srcset|href)=["']([^"']+)""", description)
    assert targets
    assert [target for pair in targets for target in pair if target and not re.match("https://|#", target)] == []


OFFICIAL_CONSTRAINTS = sorted((ROOT / "constraints/official").glob("*.txt"))


def requirements():
    """Return what the package requires, without its extras."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return [Requirement(text) for text in tomllib.load(file)["project"]["dependencies"]]


def test_no_provider_is_required_because_official_constraints_pin_them():
    assert [str(required) for required in requirements() if "airflow-providers" in required.name] == []


@pytest.mark.parametrize("constraints", OFFICIAL_CONSTRAINTS, ids=lambda path: path.stem)
def test_every_requirement_admits_the_version_that_the_official_constraints_pin(constraints):
    lines = [line for line in constraints.read_text().splitlines() if not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    refused = [
        str(required) for required in requirements() if pinned.get(required.name, "9999") not in required.specifier
    ]
    assert refused == []
    assert "apache-airflow-providers-common-compat" in pinned


def test_every_supported_airflow_has_an_excerpt_of_its_official_constraints():
    makefile = (ROOT / "Makefile").read_text()
    versions = re.findall(r"^(?:OLDER_)?AIRFLOW_VERSIONS? = (.*)$", makefile, re.MULTILINE)
    assert {path.stem for path in OFFICIAL_CONSTRAINTS} == {version for line in versions for version in line.split()}


def test_the_source_distribution_has_the_package_its_docs_and_examples(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= MODULES | PAGE
    assert {Path(name).parts[0] for name in names} == {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "airflow_import_progress",
        "docs",
        "example_dags",
        "pyproject.toml",
    }
