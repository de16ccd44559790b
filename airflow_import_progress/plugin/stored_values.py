# SPDX-License-Identifier: Apache-2.0
"""
What a wait has published, as expressions of SQL that no stored value makes fail.

SQLAlchemy's own operators for JSON raise where a value is not JSON, which SQLite stores too, or where a text or a
number out of range is converted to a number. Any task can store such a value under the same key.
"""

from __future__ import annotations

from typing import Any

from airflow.models.xcom import XComModel
from sqlalchemy import Float, String, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

#: Greatest absolute value of a number. With greater ones, the database could not calculate.
MAX_NUMBER = 10**15


class published_text(FunctionElement[str]):  # noqa: N801
    """
    A text that a wait has published, or NULL.

    :param path: The keys that lead to it.
    """

    type = String()
    inherit_cache = True

    def __init__(self, *path: str) -> None:
        super().__init__(*_arguments(path))


class published_number(FunctionElement[float]):  # noqa: N801
    """
    A number that a wait has published, or NULL for any other value and for numbers beyond :data:`MAX_NUMBER`.

    :param path: The keys that lead to it.
    """

    type = Float()
    inherit_cache = True

    def __init__(self, *path: str) -> None:
        super().__init__(*_arguments(path))


@compiles(published_text, "postgresql")
def _text_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"jsonb_extract_path_text({compiler.process(element.clauses, **options)})"


@compiles(published_number, "postgresql")
def _number_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    column, path = _column_and_path(element, compiler, **options)
    # One expression, because each one that reads the value costs the database most of its time.
    wanted = f"'strict {path} ? (@ >= -{MAX_NUMBER} && @ <= {MAX_NUMBER})'"
    return f"CAST(jsonb_path_query_first({column}, {wanted}, '{{}}', true) AS NUMERIC)"


@compiles(published_text, "sqlite")
def _text_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    value = _extracted_in_sqlite(element, compiler, **options)
    return f"CASE WHEN typeof({value}) = 'text' THEN {value} END"


@compiles(published_number, "sqlite")
def _number_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    value = _extracted_in_sqlite(element, compiler, **options)
    is_wanted = f"typeof({value}) IN ('integer', 'real') AND {value} BETWEEN -{MAX_NUMBER} AND {MAX_NUMBER}"
    return f"CASE WHEN {is_wanted} THEN {value} END"


def _extracted_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    column, path = _column_and_path(element, compiler, **options)
    return f"json_extract(CASE WHEN json_valid({column}) THEN {column} END, '{path}')"


@compiles(published_text, "mysql")
def _text_in_mysql(element: Any, compiler: Any, **options: Any) -> str:
    value = _extracted_in_mysql(element, compiler, **options)
    return f"CASE WHEN JSON_TYPE({value}) = 'STRING' THEN JSON_UNQUOTE({value}) END"


@compiles(published_number, "mysql")
def _number_in_mysql(element: Any, compiler: Any, **options: Any) -> str:
    value = _extracted_in_mysql(element, compiler, **options)
    kinds = "('INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'DECIMAL')"
    is_wanted = f"JSON_TYPE({value}) IN {kinds} AND {value} BETWEEN -{MAX_NUMBER} AND {MAX_NUMBER}"
    return f"CASE WHEN {is_wanted} THEN {value} + 0.0 END"


def _extracted_in_mysql(element: Any, compiler: Any, **options: Any) -> str:
    return "JSON_EXTRACT({}, '{}')".format(*_column_and_path(element, compiler, **options))


class epoch(FunctionElement[float]):  # noqa: N801
    """
    The time of a column, in seconds since the epoch.

    :param column: The column.
    """

    type = Float()
    inherit_cache = True


@compiles(epoch, "postgresql")
def _epoch_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"EXTRACT(EPOCH FROM {compiler.process(element.clauses, **options)})"


@compiles(epoch, "sqlite")
def _epoch_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"((julianday({compiler.process(element.clauses, **options)}) - 2440587.5) * 86400)"


@compiles(epoch, "mysql")
def _epoch_in_mysql(element: Any, compiler: Any, **options: Any) -> str:
    # UNIX_TIMESTAMP() would depend on the time zone of the session.
    column = compiler.process(element.clauses, **options)
    return f"(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column}) / 1000000)"


def _arguments(path: tuple[str, ...]) -> list[Any]:
    # Not as parameters, so that SQLAlchemy reuses the statement that it has compiled.
    return [XComModel.value, *(literal_column(f"'{key}'") for key in path)]


def _column_and_path(element: Any, compiler: Any, **options: Any) -> tuple[str, str]:
    column, *keys = element.clauses
    path = ".".join(compiler.process(key).strip("'") for key in keys)
    return compiler.process(column, **options), f"$.{path}"
