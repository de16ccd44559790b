# SPDX-License-Identifier: Apache-2.0
"""The arguments of a sensor that identify its import and its connection."""

from __future__ import annotations

import inspect
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow_import_progress.compat import BaseSensorOperator
from airflow_import_progress.hooks.base import ImportProgressHook
from airflow_import_progress.http.exchange import excerpt
from airflow_import_progress.imports import Import
from airflow_import_progress.sensors.arguments import NOT_GIVEN, is_resolved_later
from airflow_import_progress.waiting.metrics import Metrics, recorder

if TYPE_CHECKING:
    from airflow.sdk.bases.operator import BaseOperatorMeta

    from airflow_import_progress.compat import Context
else:
    BaseOperatorMeta = type(BaseSensorOperator)


class _ChecksArguments(BaseOperatorMeta):
    """Check the arguments of a sensor once all constructors have run, so that no constructor can leave it out."""

    #: The attributes that a class for a vendor sets, with their descriptions.
    _required_class_attributes: Mapping[str, str]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        for name, description in cls._required_class_attributes.items():
            if not hasattr(cls, name):
                raise TypeError(f"{cls.__name__} lacks the class attribute {name}: {description}.")
        sensor = super().__call__(*args, **kwargs)
        sensor._require_attributes()
        sensor._complete()
        return sensor

    @property
    def __signature__(cls) -> inspect.Signature:  # noqa: N805
        # Otherwise Python uses the signature of __call__.
        whole = inspect.signature(cls.__init__)  # type: ignore[misc]
        return whole.replace(parameters=list(whole.parameters.values())[1:], return_annotation=inspect.Signature.empty)


class IdentifyingSensor(BaseSensorOperator, metaclass=_ChecksArguments):
    """
    Base of a sensor for one import over one connection.

    The arguments that identify them are texts. They are rendered to text whatever the DAG renders other arguments to,
    and they are checked while the DAG is parsed, as far as they are literals.
    """

    import_class: ClassVar[type[Import]]
    hook_class: ClassVar[type[ImportProgressHook]]
    template_fields: Sequence[str] = ()
    _required_class_attributes: ClassVar[Mapping[str, str]] = {
        "import_class": "the vendor's class of imports, a subclass of Import",
        "hook_class": "the vendor's hook, a subclass of ImportProgressHook",
    }
    #: Whether all constructors have run.
    _is_complete = False
    #: The arguments that identify the import or the connection and were given as text.
    _given_as_text: frozenset[str] = frozenset()

    def get_import(self) -> Import:
        """
        Return the import to wait for, made from the sensor's arguments of the same names.

        :raises ValueError: if an argument is not an identifier; the message names it.
        """
        arguments = {}
        for field in fields(self.import_class):
            value = getattr(self, field.name)
            if value is NOT_GIVEN:
                if _is_required(field):
                    raise ValueError(f"{field.name} is not given, so it is unknown which import to wait for.")
                continue
            if field.name in self.template_fields:
                self._check_identifier(field.name, value)
            arguments[field.name] = value
        return self.import_class(**arguments)

    def get_hook(self) -> ImportProgressHook:
        """Return the vendor's hook with the sensor's connection."""
        return self.hook_class(**{self.hook_class.conn_name_attr: self._conn_id})

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """
        Render a value. Texts that identify the import or the connection are rendered to text, even in native DAGs.

        :param content: The value.
        :param context: The context of the execution.
        :param jinja_env: The environment of the templates; None: the DAG's.
        :param seen_oids: The ids of the objects that have been rendered.
        """
        if isinstance(content, str) and any(content is getattr(self, name) for name in self._identifying):
            return self._render_to_text(content, context)
        return super().render_template(content, context, jinja_env, seen_oids)

    @property
    def _conn_id(self) -> str:
        conn_id: str = getattr(self, self.hook_class.conn_name_attr)
        return conn_id

    def _metrics(self, context: Context) -> Metrics:
        """Return the metrics of this task on its worker."""
        recorder.load()
        return Metrics(self.hook_class.conn_type, self._conn_id, context.get("ti"))

    @property
    def _identifying(self) -> tuple[str, ...]:
        """The template fields that identify the import or the connection."""
        names = {self.hook_class.conn_name_attr, *(field.name for field in fields(self.import_class))}
        return tuple(name for name in self.template_fields if name in names)

    def _require_attributes(self) -> None:
        for name in (*(field.name for field in fields(self.import_class)), self.hook_class.conn_name_attr):
            if not hasattr(self, name):
                raise TypeError(
                    f"{type(self).__name__} lacks the attribute {name}: set it in __init__, or to NOT_GIVEN if "
                    f"it is known only after a start. It identifies the import "
                    f"or the connection, so it has the name that {self.import_class.__name__} or "
                    f"{self.hook_class.__name__} has for it."
                )

    def _complete(self) -> None:
        """
        Check the arguments that are known while the DAG is parsed.

        :raises ValueError: if an argument cannot be right; the message names it.
        """
        values = {name: getattr(self, name) for name in self._identifying}
        self._given_as_text = frozenset(name for name, value in values.items() if isinstance(value, str))
        later = {name for name, value in values.items() if is_resolved_later(value)}
        for name, value in values.items():
            if name not in later and value is not NOT_GIVEN:
                self._check_identifier(name, value)
        of_import = fields(self.import_class)
        # Required ones may be lacking: a subclass may start the import when it is executed, and set them then.
        lacking = {field.name for field in of_import if _is_required(field) and values.get(field.name) is NOT_GIVEN}
        if not lacking and later.isdisjoint(field.name for field in of_import):
            self.get_import()
        self._is_complete = True

    def _check_identifier(self, name: str, value: Any) -> None:
        if value is None:
            raise ValueError(
                f"{name} is None, so it is unknown which import to wait for. If it comes from an XCom, check that the "
                f"upstream task returned it. To leave an optional argument out, do not give it."
            )
        if name == self.hook_class.conn_name_attr:
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"{name} must be the id of an Airflow connection, not {excerpt(repr(value))}")
        elif name in self._given_as_text and not isinstance(value, str):
            raise ValueError(
                f"{name} was given as text and is {excerpt(repr(value))} now, which may identify another import. "
                f"Give it as text, and check what renders it."
            )

    def _render_to_text(self, template: str, context: Context) -> str:
        dag = self.get_dag()
        # The sandboxed environment is forced, because it is not native.
        env = dag.get_template_env(force_sandboxed=True) if dag is not None else self.get_template_env()
        compiled = env.from_string(template)
        # Not by Template.render(): it copies the context, and Airflow 2.11 warns about each deprecated name in it.
        names: Any = ChainMap(cast("dict[str, Any]", context), compiled.globals)
        return "".join(compiled.root_render_func(compiled.new_context(names, shared=True)))


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
