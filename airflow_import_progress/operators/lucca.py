# SPDX-License-Identifier: Apache-2.0
"""Import into Lucca."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow_import_progress.hooks.lucca import (
    LuccaHook,
    LuccaLeaveImport,
    LuccaUserLocationImport,
    LuccaUserLocationSimulation,
    results_gate,
)
from airflow_import_progress.hooks.lucca_start import MAX_FILE_BYTES
from airflow_import_progress.vendor import (
    NOT_GIVEN,
    BaseImportOperator,
    Gate,
    ImportFile,
    ImportProgressHook,
    NotGiven,
    PreparedStart,
)

if TYPE_CHECKING:
    from airflow_import_progress.vendor import Import, ImportFileSource, XComArg


class _LuccaImportOperator(BaseImportOperator):
    """Base of Lucca's operators: the import of one file."""

    template_fields: Sequence[str] = ("file", "lucca_conn_id")
    hook_class = LuccaHook
    summary_id: str | NotGiven = NOT_GIVEN
    file: ImportFileSource | XComArg

    @abstractmethod
    def _upload(self, hook: LuccaHook, file: ImportFileSource) -> Import: ...

    def prepare(self, hook: ImportProgressHook) -> PreparedStart:
        """
        Check the file.

        :raises ImportFileError: if the file cannot be imported.
        """
        source = cast("ImportFileSource", self.file)
        file = ImportFile(source, max_bytes=MAX_FILE_BYTES)
        return PreparedStart(
            description=str(file),
            digest=file.digest(),
            send=lambda: self._upload(cast("LuccaHook", hook), source),
        )


class LuccaLeaveImportOperator(_LuccaImportOperator):
    """
    Import leaves into Lucca Absences once, and wait until the import has really succeeded.

    See :class:`~airflow_import_progress.operators.base.BaseImportOperator` for the promise to start an import only
    once, and for the arguments that all operators share.

    :param file: The CSV file: a path, an address such as ``"s3://aws_default@bucket/key"``, or bytes (templated).
        At most 100 MB.
    :param create: Whether to create the leaves. False only simulates the import. Default True.
    :param recredit: Lucca's parameter ``recredit``. Default None: Lucca's default.
    :param synchronize: Lucca's parameter ``synchronize``. Default None: Lucca's default.
    :param lucca_conn_id: The Airflow connection of type ``lucca`` (templated).
    :param kwargs: The arguments that all operators share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    import_class = LuccaLeaveImport
    start_advice: ClassVar[str] = (
        "Check the import history of Absences in Lucca, which lists imports made via the API too."
    )

    def __init__(
        self,
        *,
        file: ImportFileSource | XComArg,
        create: bool = True,
        recredit: bool | None = None,
        synchronize: bool | None = None,
        lucca_conn_id: str = LuccaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file = file
        self.create = create
        self.recredit = recredit
        self.synchronize = synchronize
        self.lucca_conn_id = lucca_conn_id

    def _upload(self, hook: LuccaHook, file: ImportFileSource) -> Import:
        return hook.start_leave_import(file, create=self.create, recredit=self.recredit, synchronize=self.synchronize)


class LuccaUserLocationImportOperator(_LuccaImportOperator):
    """
    Import user locations into Lucca Office once, and wait until the import has really succeeded.

    See :class:`~airflow_import_progress.operators.base.BaseImportOperator` for the promise to start an import only
    once, and for the arguments that all operators share.

    :param file: The CSV file: a path, an address such as ``"s3://aws_default@bucket/key"``, or bytes (templated).
        At most 100 MB.
    :param create: Whether to create the locations. False only simulates the import: the results are those of Lucca's
        analysis then. Default True.
    :param override_user_locations: Lucca's parameter ``overrideUserLocations``. Default False.
    :param lucca_conn_id: The Airflow connection of type ``lucca`` (templated).
    :param check_results: Whether to read the import's results once it is processed. Default True.
    :param max_failed_records: How many lines Lucca may have refused, from 0; needs ``check_results``. Default
        None: any number.
    :param min_success_rate: The share of the lines that Lucca must have accepted, in percent: 0, or above 1 up to 100;
        needs ``check_results``. Default None: any share.
    :param min_records: How many locations must have been created or deleted, from 1; needs ``check_results``. Default
        None: any number.
    :param kwargs: The arguments that all operators share.
    :raises ValueError: if an argument is not valid; the message names it.
    """

    import_class = LuccaUserLocationImport
    start_advice: ClassVar[str] = (
        "Check the import history of Office in Lucca, which lists imports made via the API too."
    )

    def __init__(
        self,
        *,
        file: ImportFileSource | XComArg,
        create: bool = True,
        override_user_locations: bool = False,
        lucca_conn_id: str = LuccaHook.default_conn_name,
        check_results: bool = True,
        max_failed_records: int | None = None,
        min_success_rate: float | None = None,
        min_records: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate = results_gate(
            Gate(max_failed_records=max_failed_records, min_success_rate=min_success_rate, min_records=min_records),
            check_results=check_results,
        )
        if not create:
            self.import_class = LuccaUserLocationSimulation  # type: ignore[misc]
        self.file = file
        self.create = create
        self.override_user_locations = override_user_locations
        self.lucca_conn_id = lucca_conn_id
        self.check_results = check_results

    def _upload(self, hook: LuccaHook, file: ImportFileSource) -> Import:
        import_ = hook.start_user_location_import(
            file, create=self.create, override_user_locations=self.override_user_locations
        )
        return replace(import_, check_results=self.check_results)
