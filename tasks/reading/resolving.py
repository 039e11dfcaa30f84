"""From the arguments of a user to sources: paths, patterns, addresses, and `-` for standard input."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from polyseme.storage.checks import is_utf8
from polyseme.storage.errors import UsageError
from polyseme.storage.lake import Lake, scheme_with_secret
from polyseme.tasks.reading.byte_streams import COMPRESSIONS
from polyseme.tasks.reading.databases.address import is_database, parse
from polyseme.tasks.reading.databases.source import resolve_query
from polyseme.tasks.reading.folders import MAGIC, fixed_folder
from polyseme.tasks.reading.formats import SUFFIXES, format_of, may_be_read
from polyseme.tasks.reading.local_source import LocalSource, path_of_uri
from polyseme.tasks.reading.object_source import resolve_objects
from polyseme.tasks.reading.object_store import store_of
from polyseme.tasks.reading.patterns import ALL, Patterns
from polyseme.tasks.reading.regular_files import special_kind
from polyseme.tasks.reading.skipped import Skipped
from polyseme.tasks.reading.source import Source
from polyseme.tasks.reading.standard_input import check_stdin_name
from polyseme.tasks.reading.tables.source import is_delta_folder, is_table, resolve_delta, resolve_table
from polyseme.tasks.reading.web_files import refusal
from polyseme.tasks.reading.web_source import resolve_web

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
Known = Callable[[Source], bool]


def resolve(
    specs: Sequence[str],
    *,
    lake: Lake | None = None,
    known: Known = lambda source: False,
    stdin_name: str | None = None,
    patterns: Patterns = ALL,
) -> list[Source]:
    """Resolve each argument to a source, and leave out what `patterns` do.

    One that is not there is absent if it is `known`. Raises UsageError for one that names nothing readable, has a
    password, or contains the parts of `lake`.
    """
    refuse_credentials(specs)
    name = check_stdin_name(stdin_name, specs)
    found = [LocalSource(spec, "stdin", name) if spec == "-" else _resolve(spec, known) for spec in specs]
    sources = [replace(source, patterns=patterns) for source in found]
    for source in sources:
        if lake is not None and source.holds(lake):
            raise UsageError(
                f"The lake {lake.root} lies inside the source {source.spec}, so every commit would be read as new "
                "documents. Choose another folder for the lake with --lake, or leave it out with --exclude."
            )
    return sources


def names(sources: Sequence[Source]) -> list[str]:
    """Return what each source is called where it is recorded: the same however and wherever it was typed."""
    return ["-" if source.kind == "stdin" else source.name for source in sources]


def refuse_credentials(specs: Sequence[str]) -> None:
    """Raise UsageError for an address with a password, without repeating it in the message.

    Sources are stored in the catalog, in Prefect's parameters and in logs, and so would the password.
    """
    for spec in specs:
        if is_database(spec):
            parse(spec)
        elif (scheme := scheme_with_secret(spec)) is None:
            continue
        elif scheme.lower() in ("https", "http"):
            raise UsageError(refusal(scheme))
        else:
            raise UsageError(
                f"A source {scheme}://… has a user, a password or a query in its address, which would be stored in the "
                "catalog and in logs. Leave them out, and give credentials in the environment: for S3 AWS_PROFILE, or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Write ./ before the name of a file that has colons."
            )


def _resolve(spec: str, known: Known) -> Source:
    if is_database(spec):
        return resolve_query(spec, known)
    if is_table(spec):
        return resolve_table(spec, known)
    if (stored := store_of(spec)) is not None:
        return resolve_objects(spec, *stored, known=known)
    if spec.lower().startswith(("https://", "http://")):
        return resolve_web(spec, known=known)
    return _resolve_local(spec, known)


def _resolve_local(spec: str, known: Known) -> Source:
    name = _path_in(spec) if _SCHEME.match(spec) else spec
    if not name or "\0" in name or not _is_encodable(name):
        raise UsageError(
            f"source {spec!r} names nothing; give a file, a folder, a glob pattern, or - for standard input"
        )
    path = _absolute(name)
    real = os.path.realpath(path)
    # The name of a file decides how it is read, so a link to a file keeps its name.
    file = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    # A link that leads nowhere has no content to look into; it may have led to a folder.
    readable = format_of(os.path.basename(path)) is not None or (
        may_be_read(os.path.basename(path)) and os.path.exists(path)
    )
    if os.path.isdir(path):
        return resolve_delta(spec, real, known) if is_delta_folder(real) else LocalSource(spec, "folder", real)
    special = special_kind(path)
    if os.path.lexists(path) and readable and not special:
        return LocalSource(spec, "file", file)
    # A pipe in the place of a known file is read as one, so that its reject says what it is.
    for missing in (LocalSource(spec, "file", file, special is None), LocalSource(spec, "folder", real, True)):
        # Also if the name has a wildcard: as a pattern it would read other files, and miss the one that is away.
        if known(missing):
            return missing
    is_pattern = bool(MAGIC.search(spec)) and not _SCHEME.match(spec) and not os.path.lexists(path)
    if is_pattern:
        pattern = _real_pattern(path)
        source = LocalSource(spec, "glob", pattern, absent=not os.path.lexists(fixed_folder(pattern)))
        if any(not isinstance(found, Skipped) for found in source.files()) or known(source):
            return source
    if is_pattern:
        raise UsageError(f"no file that can be read matches {spec!r} ({path}); {_FORMATS}")
    if special:
        raise UsageError(f"source {spec!r} is {special}, not a file or a folder; pipe what it gives into -")
    if os.path.lexists(path):
        raise UsageError(f"source {spec!r} is of a format that is not read; {_FORMATS}")
    raise UsageError(f"source {spec!r} does not exist ({path}); give a file, a folder, a glob pattern, or -")


def _real_pattern(pattern: str) -> str:
    folder = fixed_folder(pattern)
    return os.path.realpath(folder).rstrip("/") + pattern[len(folder.rstrip("/")) :]


_FORMATS = (
    f"formats are {' '.join(SUFFIXES)}, each but .parquet and .zip also with {' '.join(COMPRESSIONS)}; "
    "pipe anything else as text or JSON lines into -"
)


def _absolute(path: str) -> str:
    # The parent of a link is not the folder before it in the path, so a path with `..` is resolved completely.
    return os.path.realpath(path) if ".." in path.split("/") else os.path.abspath(path)


def _path_in(spec: str) -> str:
    """Return the path of an address that a user gave. Raises UsageError for one that urlsplit reads as another file."""
    try:
        parts = urlsplit(spec)
    except ValueError as error:
        raise UsageError(f"source {spec!r} is not an address ({error}); give a path, or file:// and a path") from error
    lost = parts.query or parts.fragment or any(character in spec for character in "\t\r\n") or not is_utf8(spec)
    if parts.scheme == "file" and lost:
        raise UsageError(
            f"source {spec!r} has ?, #, a line break or bytes that are not UTF-8 in it; write %3F, %23, %0A, %FF"
        )
    return path_of_uri(spec)


def _is_encodable(name: str) -> bool:
    """Return whether the system could have a file of this name: some surrogates stand for bytes, others for nothing."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True
