"""Which formats are read, by the name of a file, and how: a register. Knows no reader.

Documents that a program made are parsed in a process of its own (`parsing`): one text a file, or several.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

from polyseme.tasks.reading.byte_streams import COMPRESSIONS

WHOLE_FILE = (".txt", ".md")
RECORD_FILES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
PARSERS: dict[str, str] = {
    ".pdf": "pdf:parse_pdf",
    ".html": "html:parse_html",
    ".htm": "html:parse_html",
    ".xhtml": "html:parse_html",
    ".docx": "word:parse_docx",
    ".pptx": "slides:parse_pptx",
    ".xlsx": "sheets:parse_xlsx",
    ".odt": "open_document:parse_odt",
    ".odp": "open_document:parse_odp",
    ".ods": "open_document:parse_ods",
    ".epub": "epub:parse_epub",
    ".eml": "mail:parse_eml",
    ".mbox": "mail:parse_mbox",
    ".ipynb": "notebook:parse_notebook",
    ".xml": "markup:parse_xml",
    ".tei": "markup:parse_xml",
    ".tex": "latex.document:parse_latex",
    ".adoc": "asciidoc:parse_asciidoc",
    ".asciidoc": "asciidoc:parse_asciidoc",
    ".rtf": "foreign:parse_foreign",
    ".msg": "foreign:parse_foreign",
    ".doc": "foreign:parse_foreign",
    ".ppt": "foreign:parse_foreign",
    ".xls": "foreign:parse_foreign",
    ".rst": "foreign:parse_foreign",
    ".org": "foreign:parse_foreign",
}
"""The parser of each format: a module of `parsing` and its function."""
_PACKAGES = {
    ".pdf": "pypdfium2",
    **dict.fromkeys((".warc", ".wet"), "fastwarc"),
    **dict.fromkeys((".html", ".htm", ".xhtml", ".epub"), "resiliparse"),
    **{suffix: "kreuzberg" for suffix, parser in PARSERS.items() if parser.startswith("foreign:")},
}
EXTRA = "documents"
"""The extra that installs the packages that parsers need."""
ARCHIVES = (".zip", ".tar")
"""Files of files, each of which is read by its own format."""
WEB_ARCHIVES = (".warc", ".wet")
"""Records of what servers gave, and of the texts of these."""
SUFFIXES = (*WHOLE_FILE, *RECORD_FILES, ".parquet", *PARSERS, *ARCHIVES, *WEB_ARCHIVES)
_SHORT = {".tgz": ".tar.gz", ".tbz2": ".tar.bz2", ".txz": ".tar.xz", ".tzst": ".tar.zst"}
_SEEKING = (".parquet", ".zip")
"""Formats that are read from their end, and compress their content themselves: not read compressed once more."""


def format_of(name: str) -> tuple[str, str] | None:
    """Return the format and compression suffixes of a file name; None for other formats."""
    last = name.rfind(".")
    if last > 0 and name[last:].lower() in COMPRESSIONS:
        last = name.rfind(".", 0, last)
    return _format_of(name[last:]) if last >= 0 else None


@lru_cache(maxsize=1024)
def _format_of(suffixes: str) -> tuple[str, str] | None:
    stem, compression = suffixes.lower(), ""
    for short, long in _SHORT.items():
        if stem.endswith(short):
            stem = stem.removesuffix(short) + long
    for suffix in COMPRESSIONS:
        if stem.endswith(suffix):
            stem, compression = stem.removesuffix(suffix), suffix
    found = next((s for s in SUFFIXES if stem.endswith(s)), None)
    return None if found is None or (found in _SEEKING and compression) else (found, compression)


def missing_package(suffix: str) -> str | None:
    """Return the package that a format needs and that is not installed; None if it can be read."""
    package = _PACKAGES.get(suffix)
    return package if package is not None and find_spec(package) is None else None


def what_to_install(what: str, package: str) -> str:
    """Return the message of `what` cannot be read because a package is not installed."""
    return f"{what} need {package}, which is not installed: pip install 'polyseme[{EXTRA}]'"


def may_be_read(name: str) -> bool:
    """Return whether a file of this name is read, or looked into because its name has no suffix."""
    return format_of(name) is not None or "." not in name.strip(".")
