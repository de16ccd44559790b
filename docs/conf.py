# SPDX-License-Identifier: Apache-2.0
"""Settings of the documentation site; build it with ``make docs``."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from sphinx.application import Sphinx

import airflow_import_progress

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/airflow-provider-import-progress/airflow-provider-import-progress/blob/main/"

project = "airflow-provider-import-progress"
copyright = "airflow-provider-import-progress contributors"  # noqa: A001, RUF100
version = release = airflow_import_progress.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4
# The code in the pages is excerpts: some of them do not parse.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"{project} {version}"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

nitpicky = True
nitpick_ignore_regex = [
    # No inventory of another project is downloaded, so what is documented elsewhere has no link.
    ("py:.*", r"(abc|airflow|aiohttp|collections|datetime|enum|pendulum|pytest|requests|typing|yarl)\..*"),
    # Annotations with names that only type checkers import stay as they are written.
    ("py:class", r"Connection|Context|ImportFileSource|JobFiles|ObjectStoragePath|OnActionRequired|PendingKind"),
    ("py:class", r"BaseOperator|Sandbox|Selection|XComArg|datetime|timedelta"),
    # Bases and arguments that are not part of the API.
    ("py:class", r"airflow_import_progress\..*\.(_\w+|JobArguments|JobSearch|ListedJobs|Listing|NewJob|Readable)"),
    (
        "py:class",
        r"airflow_import_progress\..*\.(PublishingSensor|Schedule|SensorWithoutWorkers|Source|SteppingSensor)",
    ),
    # Type variables.
    ("py:(obj|class)", r"airflow_import_progress\..*\.([KT]|T_co)"),
]

# The README has absolute links, because PyPI shows it too.
_ABSOLUTE = re.compile(
    r"https://(?:github\.com/[\w-]+/[\w-]+/(?:blob|tree)|raw\.githubusercontent\.com/[\w-]+/[\w-]+)/main/(?=docs/)"
)
_TARGET = re.compile(r'(\]\(|\b(?:src|srcset)=")(?!\w+:|#)([^)\s#"]+)')
_PICTURE = re.compile(r'<picture>\s*<source [^>]*srcset="([^"]+)">\s*<img ([^>]*?)src="([^"]+)"([^>]*)>\s*</picture>')


def _resolve(target: str, folder: str) -> str:
    """Return the target of a link as seen from docs/, where the README is the first page."""
    path = posixpath.normpath(posixpath.join(folder, target))
    if path == "README.md":
        return "index.md"
    return posixpath.relpath(path, "docs") if path.startswith("docs/") else REPOSITORY + path


def _adapt_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Turn a page that is written for GitHub into a page of the site."""
    if page.startswith("api/"):
        return
    text, folder = source[0], "docs"
    if page == "index":
        readme = ROOT / "README.md"
        app.env.note_dependency(str(readme))
        text, folder = text.replace("<!-- README -->", _ABSOLUTE.sub("", readme.read_text())), ""
    text = _TARGET.sub(lambda match: match[1] + _resolve(match[2], folder), text)
    # The theme shows one of them.
    source[0] = _PICTURE.sub(
        r'<img class="only-dark" \2src="\1"\4>' "\n\n" r'<img class="only-light" \2src="\3"\4>', text
    )


def setup(app: Sphinx) -> None:
    """Adapt the pages as they are read."""
    app.connect("source-read", _adapt_page)
