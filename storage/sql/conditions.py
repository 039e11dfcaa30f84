"""Conditions: what a user writes behind --where, as one expression on `documents`, and what is wrong with one."""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from polyseme.storage.errors import UsageError
from polyseme.storage.sql.absent_columns import QUOTES, Keys, absent_column, instead_of
from polyseme.storage.sql.access import refuse_writes

NOT_A_CONDITION = (
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.SyntaxException,
)
"""What DuckDB raises for a condition that is wrong, some of it only once a document is compared."""

_NOTHING = "SELECT clause without selection list"
_FIELD = re.compile(r"metadata\.(\w+(?:\.\w+)*)")
_KIND = re.compile(r"^[A-Z][A-Za-z ]* Error: ")
_VALUE = re.compile(r"['\"(:].*")


def matching(documents: duckdb.DuckDBPyRelation, where: str) -> duckdb.DuckDBPyRelation:
    """Return the documents that meet a condition. Raises UsageError if `where` is not a SQL condition on them."""
    refuse_writes(where)
    try:
        # Parsed as one expression, so that a user's text never becomes part of a statement.
        return documents.set_alias("documents").filter(where)
    except NOT_A_CONDITION as error:
        raise not_a_condition(error, documents) from error


def valued(documents: duckdb.DuckDBPyRelation, by: str) -> duckdb.DuckDBPyRelation:
    """Return `doc_id` and `value`, as text, of an expression. Raises UsageError if it is not one on `documents`.

    `metadata.year` is the field of a record, as `metadata->>'year'` is.
    """
    refuse_writes(by)
    field = _FIELD.fullmatch(by.strip())
    expression = f"metadata->>'$.{field[1]}'" if field and "metadata" in documents.columns else by
    try:
        # Parsed as one expression, so that a user's text never becomes part of a statement.
        value = duckdb.SQLExpression(expression).cast("VARCHAR").alias("value")
        return documents.set_alias("documents").select(duckdb.ColumnExpression("doc_id"), value)
    except NOT_A_CONDITION as error:
        raise _not_on_documents(error, documents, _BY) from error


def not_a_condition(error: Exception, documents: duckdb.DuckDBPyRelation) -> UsageError:
    """Return DuckDB's error about a condition as one about --where, with what to write instead if that is known."""
    return _not_on_documents(error, documents, _WHERE)


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    takes: str
    nothing: str


_WHERE = _Option(
    "--where", "takes a SQL condition on the columns of documents, such as \"uri LIKE '%/news/%'\"",
    "has no condition. It takes one in SQL on the columns of documents, such as \"uri LIKE '%/news/%'\". Leave it out "
    "to take every document.",
)  # fmt: skip
_BY = _Option(
    "--by",
    "takes an expression on the columns of documents, such as metadata.year, language or \"metadata->>'genre'\"",
    "has no expression. It takes one on the columns of documents, such as metadata.year, language or "
    "\"metadata->>'genre'\".",
)  # fmt: skip


def _not_on_documents(error: Exception, documents: duckdb.DuckDBPyRelation, option: _Option) -> UsageError:
    problem, absent = first_line(error), absent_column(error)
    if problem == _NOTHING:
        return UsageError(f"{option.name} {option.nothing}")
    if absent is None:
        return UsageError(f"{option.name} {option.takes}: {problem}")
    columns, keys = documents.columns, Keys.of(documents)
    if instead := instead_of(absent, "documents", columns, keys):
        return UsageError(f"{option.name}: {instead}")
    nowhere = ", and no document has it in its metadata" if keys.is_all else ""
    return UsageError(
        f"{option.name}: {absent} is no column of documents{nowhere}. Columns are {', '.join(columns)}. {QUOTES}"
    )


def not_comparable(error: Exception) -> UsageError:
    """Return DuckDB's error about a document that was compared, without what it quotes: logs may not have texts."""
    problem = _VALUE.sub("…", first_line(error)).strip()
    return UsageError(
        "--where takes a SQL condition on the columns of documents, and one of them cannot be compared "
        f"({problem}). TRY_CAST(title AS INTEGER) is NULL where CAST fails, and so is "
        "TRY(…) for any expression."
    )


def first_line(error: Exception) -> str:
    """Return what DuckDB found wrong, without the kind of error and without the SQL."""
    text = str(error).strip()
    return _KIND.sub("", text.splitlines()[0]) if text else type(error).__name__
