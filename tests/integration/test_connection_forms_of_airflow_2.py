# SPDX-License-Identifier: Apache-2.0
"""The connection forms as the webserver of Airflow 2 makes them."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_import_progress.provider_info import get_provider_info

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("airflow.www") is None, reason="only Airflow 2 makes its forms in the webserver"
)

DECLARED = get_provider_info()["connection-types"]
VENDORS = pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared["connection-type"])

# In a process and a home of its own, with everybody an administrator.
PROGRAM = """
import os, pathlib, sys
home = pathlib.Path(os.environ["AIRFLOW_HOME"])
(home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Admin'\\nWTF_CSRF_ENABLED = False\\n")
from airflow.utils.db import initdb
initdb()
from airflow.www.app import create_app
answer = create_app(testing=True).test_client().get("/connection/add")
assert answer.status_code == 200, answer.data
(home / "form.html").write_bytes(answer.data)
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page on which a connection is added."""
    home: Path = tmp_path_factory.mktemp("airflow-2")
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM], env={**os.environ, **settings}, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return (home / "form.html").read_text()


@VENDORS
def test_the_vendor_is_in_the_list_of_types(page, declared):
    assert re.search(rf'<option value="{declared["connection-type"]}">{declared["hook-name"]}</option>', page)


@VENDORS
def test_the_standard_fields_are_named_hidden_and_explained_as_declared(page, declared):
    behaviours = json.loads(html.unescape(re.search(r"<script[^>]*field_behaviours[^>]*>(.*?)</script>", page)[1]))
    behaviour = behaviours[declared["connection-type"]]
    expected = declared["ui-field-behaviour"]
    assert set(behaviour["hidden_fields"]) >= set(expected["hidden-fields"])
    assert behaviour["relabeling"] == expected["relabeling"]
    assert behaviour["placeholders"].items() >= expected["placeholders"].items()


@VENDORS
def test_the_extras_have_fields_with_label_and_help(page, declared):
    text = html.unescape(page)
    for name, field in declared["conn-fields"].items():
        row = re.search(
            rf'<label[^>]*for="?extra__{declared["connection-type"]}__{name}"?.*?</tr>', text, flags=re.DOTALL
        )
        assert row, name
        assert field["label"] in row[0]
        assert field["description"] in row[0]
