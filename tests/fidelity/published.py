# SPDX-License-Identifier: Apache-2.0
"""What Rocket.Chat publishes on npm: the types of its answers, and validators of its requests and errors."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"

_TOOLS = FOLDER / "node_modules" / ".bin"
_COMPILER = (_TOOLS / "tsc", "--noEmit", "--strict", "--skipLibCheck", "--pretty", "false")
_TARGET = ("--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")
_ERROR = re.compile(r"checked\.ts\((?P<line>[0-9]+),[0-9]+\): error (?P<error>.*)")


def type_errors(answers: Mapping[str, tuple[str, Any]], folder: Path) -> Mapping[str, list[str]]:
    """Return what the compiler has against answers, given by name as their type and body."""
    lines = ["import type * as published from './answers';"]
    lines += [
        f"export const answer{number}: published.{type_name} = {json.dumps(body)};"
        for number, (type_name, body) in enumerate(answers.values())
    ]
    checked = folder / "checked.ts"
    checked.write_text("\n".join(lines) + "\n")
    for name in ("answers.ts", "node_modules"):
        (folder / name).symlink_to(FOLDER / name)
    run = subprocess.run(  # noqa: S603
        (*_COMPILER, *_TARGET, "--preserveSymlinks", checked.name),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return _errors_by_name(run.stdout, list(answers))


def problems_with(payloads: Sequence[tuple[str, Any]], folder: Path) -> list[list[str]]:
    """Return what the named validators have against payloads, each given after the name of its validator."""
    # The packages are made for bundlers: Node itself does not find the parts of them.
    bundle = folder / "validators.cjs"
    bundler = (_TOOLS / "esbuild", "validators.mjs", "--bundle", "--platform=node", f"--outfile={bundle}")
    subprocess.run((*bundler, "--log-level=warning"), cwd=FOLDER, check=True)  # noqa: S603
    run = subprocess.run(("node", bundle), input=json.dumps(payloads), capture_output=True, text=True, check=True)  # noqa: S603, S607
    problems: list[list[str]] = json.loads(run.stdout)
    return problems


def _errors_by_name(output: str, names: Sequence[str]) -> Mapping[str, list[str]]:
    errors: dict[str, list[str]] = defaultdict(list)
    for line in output.splitlines():
        if found := _ERROR.match(line):
            errors[names[int(found["line"]) - 2]].append(found["error"])
        elif "error" in line:
            raise AssertionError(output)
    return errors
