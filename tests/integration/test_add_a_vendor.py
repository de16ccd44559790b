# SPDX-License-Identifier: Apache-2.0
"""The vendors of other packages: that of docs/add-a-vendor.md, built from the page alone, and that of examples/."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_import_progress.compat.stored import has_task_state_store
from tests.support.fresh_environment import ROOT, FreshEnvironment, copy_helpers
from tests.support.other_packages import EXAMPLE, PAGE, write_package_of_page


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    """Return the folder of the page's package."""
    folder = tmp_path_factory.mktemp("acme")
    write_package_of_page(folder)
    return folder


@pytest.fixture(scope="module")
def environment(acme, tmp_path_factory):
    """Return an environment with this package, the page's and the example's."""
    pytest.importorskip("hatchling", reason="built by the development tools only")
    return FreshEnvironment(tmp_path_factory.mktemp("fresh"), acme, EXAMPLE)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the fixtures of the tests, but without any package."""
    copy_helpers(tmp_path)
    return tmp_path


def pytest_in(environment, folder, *files):
    return environment.run("python", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *files, cwd=folder)


@contextlib.contextmanager
def serving(environment, folder):
    """Serve the sandbox as its command does, and return its address and the connections."""
    command = [environment.executable("python"), "-m", "airflow_import_progress.sandbox", "--port", "0"]
    with subprocess.Popen(  # noqa: S603
        command, cwd=folder, env=environment.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            url = re.search(r"http://[\d.:]+", process.stdout.readline())[0]
            connections = {}
            # Those of this package, and of the two others.
            for line in itertools.islice(process.stdout, 6):
                name, _, value = line.strip().partition("=")
                connections[name] = shlex.split(value)[0]
            yield url, connections
        finally:
            process.terminate()
            process.communicate()


def test_the_page_has_every_file_that_it_lists(acme):
    listed = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert {str(file.relative_to(acme)) for file in acme.rglob("*.*") if file.is_file()} == {
        *listed,
        "acme_imports/py.typed",
    }


def test_the_tests_of_the_page_pass(environment, acme, tmp_path):
    shutil.copy(acme / "tests/test_acme.py", tmp_path)
    done = pytest_in(environment, tmp_path, "test_acme.py")
    assert done.returncode == 0, done.stdout


def test_everything_works_for_both_packages_as_for_the_vendors_of_this_one(environment, folder):
    shutil.copytree(ROOT / "tests/outside", folder / "tests/integration", dirs_exist_ok=True)
    done = pytest_in(environment, folder, "tests/integration")
    assert done.returncode == 0, done.stdout


def test_its_imports_can_be_watched_in_the_sandbox(environment, tmp_path):
    with serving(environment, tmp_path) as (url, connections):
        for percent, exit_code in ((100, 0), (-1, 1)):
            answer = environment.run(
                "python",
                "-c",
                "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], sys.argv[2].encode()).read())",
                f"{url}/_sandbox/imports",
                json.dumps(
                    {"vendor": "acme", "kind": "job", "import_id": f"d{percent}", "script": {"points": [[0, percent]]}}
                ),
                cwd=tmp_path,
            )
            assert answer.returncode == 0, answer.stderr
            watched = environment.run(
                "airflow-import-progress", "watch", "acme", f"d{percent}", "--json", cwd=tmp_path, **connections
            )
            assert watched.returncode == exit_code, watched.stderr
            assert json.loads(watched.stdout.splitlines()[-1])["exit_code"] == exit_code


def test_the_help_of_its_kind_loads_no_airflow(environment, tmp_path):
    program = (
        "import sys; from airflow_import_progress.cli.main import main\n"
        "sys.argv[1:] = ['watch', 'acme', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, {'airflow', 'rich', 'pendulum'} & set(sys.modules))"
    )
    done = environment.run("python", "-c", program, cwd=tmp_path)
    assert "--on-action-required" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 set()"


def test_type_checkers_accept_both_packages(environment, tmp_path):
    pytest.importorskip("mypy", reason="not installed here, as with the lowest versions")
    if not has_task_state_store():
        pytest.skip("types are checked with the newest Airflow, as those of this package")
    # Airflow leaves some of what it ships untyped, as in this project's own configuration.
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-airflow.*]\nfollow_imports = silent\n")
    done = environment.run("python", "-m", "mypy", "-p", "acme_imports", "-p", "gitlab_imports", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_code_of_the_page_keeps_the_rules_of_the_project(acme):
    executable = Path(sys.executable).with_name("ruff")
    if not executable.exists():
        pytest.skip("ruff is not installed here, as with the lowest versions")
    # The file __init__.py is empty.
    for command in (["check", "--no-cache", "--ignore", "D104"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(  # noqa: S603
            [str(executable), *command, "--config", str(ROOT / "pyproject.toml"), "."],
            cwd=acme,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_the_tests_of_the_example_pass(environment, tmp_path):
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    done = pytest_in(environment, tmp_path, "tests")
    assert done.returncode == 0, done.stdout
