# SPDX-License-Identifier: Apache-2.0
"""Check that the version, the changelog and the stored triggers are those of a tag."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STORED_TRIGGERS = "tests/integration/stored_triggers"


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """
    Return what keeps a tag from being released, as sentences.

    :param tag: The tag, such as ``v0.1.0``.
    :param root: The folder of the repository.
    """
    found = []
    source = (root / "airflow_import_progress" / "__init__.py").read_text()
    match = re.search(r'^__version__ = "([^"]+)"$', source, re.MULTILINE)
    version = match[1] if match else ""
    if tag != f"v{version}":
        found.append(f"The tag is {tag!r}, but the version is {version!r}: the tag must be 'v{version}'.")
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(), re.MULTILINE
    ):
        found.append(f"CHANGELOG.md has no section '## [{version}] - <date>'.")
    if not list((root / STORED_TRIGGERS).glob(f"{version}-*.json")):
        found.append(f"{STORED_TRIGGERS} has no triggers of {version}.")
    return found


def main(arguments: list[str]) -> int:
    """
    Print the problems, and return the exit status.

    :param arguments: The arguments of the command: the tag.
    """
    if len(arguments) != 1 or not arguments[0]:
        print("Name the tag: make release-check TAG=v0.1.0", file=sys.stderr)
        return 2
    found = problems(arguments[0])
    print("\n".join(found) or f"{arguments[0]} can be released.", file=sys.stderr if found else sys.stdout)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
