# SPDX-License-Identifier: Apache-2.0
"""The object that the fixture ``import_sandbox`` provides."""

from __future__ import annotations

import json
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest

from airflow_import_progress import clock
from airflow_import_progress.compat.in_process import keeping_apis_of_dag_test
from airflow_import_progress.sandbox import Sandbox
from airflow_import_progress.sandbox.registry import left_out
from airflow_import_progress.testing.virtual_clock import VirtualClock

if TYPE_CHECKING:
    from airflow_import_progress.compat import BaseOperator

#: How long an import takes unless a test sets it, in seconds of virtual time.
IMPORT_DURATION = 600.0
#: The end of the methods that create an import: ``leave_import()`` creates one of the kind ``leave``.
_METHOD_SUFFIX = "_import"


class ImportSandbox:
    """
    Simulated vendors, and the time in which the package waits for them.

    A context manager. Inside, the default connections of all vendors lead to the sandbox, and a wait takes no time: its
    sleeps put :attr:`clock` forward, by which imports progress too. Each vendor is an attribute, such as ``lucca``.
    """

    def __init__(self) -> None:
        #: The virtual clock: ``time()`` returns the seconds since the epoch, and ``sleep()`` puts it forward.
        self.clock = VirtualClock()
        #: The sandbox, with its further methods such as ``add_fault()`` and ``requests()``.
        self.sandbox = Sandbox(import_duration=IMPORT_DURATION, clock=self.clock.time)
        self._patch = pytest.MonkeyPatch()
        self._created: list[ScriptedImport] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.sandbox)
            stack.callback(self._patch.undo)
            stack.enter_context(keeping_apis_of_dag_test())
            self._patch.setattr(clock, "current", self.clock)
            for vendor in self.sandbox.vendors:
                self.vendor(vendor.name).connect(f"{vendor.name}_default")
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def report(self) -> None:
        """
        Report what a test has not noticed, at its end.

        :raises Exception: if the handler of a simulated vendor raised one; several as an ``ExceptionGroup``.
        """
        if len(errors := self.sandbox.handler_errors()) > 1:
            raise ExceptionGroup("simulated vendors raised exceptions", errors)
        if errors:
            raise errors[0]
        for scripted in self._created:
            if scripted.withdraw():
                warnings.warn(_never_started(scripted), stacklevel=2)

    def vendor(self, name: str) -> ScriptedVendor:
        """
        Return a vendor.

        :param name: Its name in the sandbox, such as ``lucca``.
        :raises AttributeError: if the sandbox does not simulate it.
        """
        for vendor in self.sandbox.vendors:
            if vendor.name == name:
                return ScriptedVendor(self.sandbox, self._patch, self._created, name, vendor.kinds)
        names = ", ".join(vendor.name for vendor in self.sandbox.vendors)
        raise AttributeError(" ".join((f"the sandbox simulates no vendor {name!r}, but {names}.", *left_out())))

    def __getattr__(self, name: str) -> ScriptedVendor:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.vendor(name)

    def run(self, task: BaseOperator) -> Any:
        """
        Run a sensor or an operator to its end in its own mode, and return its result, or raise its error.

        No DAG run and no database is needed.

        :param task: The task. Its arguments are taken as they are: templates are not rendered.
        """
        from airflow_import_progress.testing.running import run

        return run(task)


def _never_started(scripted: ScriptedImport) -> Warning:
    return pytest.PytestWarning(
        f"The test created the {scripted.kind} import {scripted.import_id!r} of {scripted.vendor}, but nothing has "
        f"started it, so it had no effect. If an operator was to start it, check that the operator ran and imports "
        f"into {scripted.vendor}. For a sensor, call start()."
    )


class ScriptedVendor:
    """
    A simulated vendor.

    Each of its kinds of import has a method, which takes the arguments of :meth:`create`, such as ``leave_import()``
    for the kind ``leave``.

    :param sandbox: The sandbox.
    :param patch: Sets environment variables until the end of the test.
    :param created: The imports that the test has created, to which new ones are added.
    :param name: The name of the vendor.
    :param kinds: Its kinds of import.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        patch: pytest.MonkeyPatch,
        created: list[ScriptedImport],
        name: str,
        kinds: tuple[str, ...],
    ) -> None:
        self._sandbox = sandbox
        self._patch = patch
        self._created = created
        self.name = name
        self.kinds = kinds

    def create(
        self, kind: str, *, fails_at: float | None = None, import_id: str | None = None, **script: Any
    ) -> ScriptedImport:
        """
        Create an import, which succeeds after ten minutes unless its script is another.

        The next client that starts an import of this kind, such as an operator, starts this one. For a sensor, start it
        with :meth:`.ScriptedImport.start`.

        :param kind: One of the vendor's kinds of import, such as ``leave``.
        :param fails_at: The percentage at which it fails. Default None: it succeeds.
        :param import_id: Its id. Default None: a new one.
        :param script: Other fields of the sandbox's scripts, such as ``records`` and ``failed_records``.
        """
        if fails_at is not None:
            script["fail_at"] = fails_at
        created = ScriptedImport(self._sandbox, self.name, kind, script, import_id)
        self._created.append(created)
        return created

    def __getattr__(self, name: str) -> Any:
        for kind in self.kinds:
            if name == kind.replace("-", "_") + _METHOD_SUFFIX:
                return lambda **arguments: self.create(kind, **arguments)
        raise AttributeError(f"{self.name} has no {name!r}; its kinds of import are {', '.join(self.kinds)}")

    def is_down(self, *, times: int | None = None, import_id: str | None = None) -> None:
        """
        Answer the coming requests with the status 503.

        :param times: How many requests. Default None: all.
        :param import_id: Only requests that name this import, such as its polls. Default None: all requests.
        """
        self._sandbox.add_fault({"status": 503}, vendor=self.name, import_id=import_id, times=times)

    def connect(self, conn_id: str, **fields: Any) -> None:
        """
        Let a connection lead to this vendor until the end of the test, with an environment variable.

        :param conn_id: The id of the connection.
        :param fields: Fields of the connection that differ, such as ``extra={"api_version": "v1"}``.
        """
        values = {**self._sandbox.airflow_connection(self.name), **fields}
        self._patch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(values))


class ScriptedImport:
    """
    An import that a client has not started yet.

    :param sandbox: The sandbox.
    :param vendor: The name of the vendor.
    :param kind: Its kind.
    :param script: Its course, as the sandbox takes it.
    :param import_id: Its id. None: a new one.
    """

    def __init__(self, sandbox: Sandbox, vendor: str, kind: str, script: dict[str, Any], import_id: str | None) -> None:
        self._sandbox = sandbox
        self.vendor = vendor
        self.kind = kind
        self._script = script
        #: Its id at the vendor.
        self.import_id = sandbox.script_next_import(vendor, kind, script, import_id)

    def takes(self, seconds: float) -> Self:
        """
        Set how long the import takes from its start.

        :param seconds: The time to 100 percent, in seconds.
        :raises RuntimeError: if it has been started.
        """
        self._withdraw_or_raise()
        self._script = {**self._script, "duration": seconds}
        self._sandbox.script_next_import(self.vendor, self.kind, self._script, self.import_id)
        return self

    def start(self) -> str:
        """
        Start the import now, as a client that is not under test, and return its id.

        :raises RuntimeError: if it has been started.
        """
        self._withdraw_or_raise()
        return self._sandbox.create_import(self.vendor, self.kind, self._script, self.import_id)

    def withdraw(self) -> bool:
        """Take the import back, and return whether nothing had started it."""
        return self._sandbox.withdraw_next_import(self.vendor, self.import_id)

    def _withdraw_or_raise(self) -> None:
        if not self.withdraw():
            raise RuntimeError(f"The import {self.import_id!r} has been started already.")
