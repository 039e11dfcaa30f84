"""Every option that can be configured, from the command line's own definitions.

python docs/configuration.py            # print it
python docs/configuration.py --write    # put it into docs/configuration.md
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import App
from cyclopts.argument import Argument
from printed import DOCS, run

from polyseme.flows.cli import app
from polyseme.flows.runs.runners import Runner
from polyseme.flows.server.corpora import Corpus
from polyseme.flows.settings import ENVIRONMENT_PREFIX

PAGE = DOCS / "configuration.md"
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "path"}
_CORPUS_HELP = {
    "word_definition": "What a word is: those of the text (default), or of the tokenizer, as in earlier releases.",
    "sources": "Files, folders and globs, relative to the file, and addresses such as s3://bucket/prefix/. Required.",
    "lake": "The lake; relative to the file. By default the line `lake` at the top of the file, else `lake`.",
    "catalog": "The database of the lake's catalog. By default the line `catalog` at the top of the file, if `lake` is "
    "not in the table.",
    "delete": "Hide documents that the sources no longer yield.",
    "words": "Keep only these words' vectors, a list.",
    "pll": "Store each sentence's pseudo-log-likelihood in this variant.",
    "lemma": "Store the lemma of each word, by the language of its document. Needs the extra lemma.",
    "budget": "Tokens in a batch. By default what the device holds.",
    "max_document_bytes": "Refuse longer documents (bytes of UTF-8).",
    "max_line_bytes": "Refuse longer lines or rows.",
}
"""Keys that are not options of `polyseme embed`, or mean something else there."""


def reference() -> str:
    """Return a section for each command and one for a corpus."""
    commands = {name: command for name, command in app.resolved_commands().items() if not name.startswith("-")}
    sections = [section for name, command in commands.items() for section in _command(name, command)]
    return "\n".join([*sections, *_corpus(_options(commands["embed"]))]) + "\n"


def _command(name: str, command: App) -> Iterator[str]:
    options = _options(command)
    if not options:
        return
    yield f"### `polyseme {name}`: table `[{name}]`\n"
    yield "| option | key | environment | type | default | meaning |\n|---|---|---|---|---|---|"
    for option in options:
        names = f"{_spellings(option)} | {_code(key(option))} | `{variable(option)}`"
        yield f"| {names} | {_kind(option)} | {_default(option)} | {_help(option)} |"
    yield ""


def _options(command: App) -> list[Argument]:
    """Return what a command shows as its options, those of flattened dataclasses among them."""
    return [argument for argument in command.assemble_argument_collection(parse_docstring=True) if argument.show]


def key(option: Argument) -> str | None:
    """Return an option's key in `polyseme.toml`; None for what has a place and no name."""
    return option.name.lstrip("-").replace("-", "_") if option.name.startswith("--") else None


def variable(option: Argument) -> str:
    """Return an option's environment variable."""
    return ENVIRONMENT_PREFIX + option.name.lstrip("-").replace("-", "_").upper()


def _spellings(option: Argument) -> str:
    return ", ".join(f"`{name}`" for name in option.names)


def _kind(option: Argument) -> str:
    choices = option.get_choices()
    return _choices(choices) if choices else _type(option.hint)


def _type(hint: Any) -> str:
    """Return a type in words: `string`, `list of paths`, or the values it may have."""
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        literal = [value for member in members for value in get_args(member)]
        return _choices(literal) if len(members) > 1 else _type(members[0])
    if get_origin(hint) is Literal:
        return _choices(get_args(hint))
    if get_origin(hint) in (list, tuple, set, frozenset):
        return f"list of {_type(get_args(hint)[0])}s"
    return _TYPES.get(hint, "string")


def _choices(values: Any) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _default(option: Argument) -> str:
    return "required" if option.required else _value(option.field_info.default)


def _value(default: Any) -> str:
    """Return a default as TOML writes it, nothing for none."""
    if default in (None, MISSING, Parameter.empty):
        return ""
    return _code(json.dumps(default, default=str))


def _help(option: Argument) -> str:
    return " ".join((option.parameter.help or "").split()).replace("|", "\\|")


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _corpus(embed: list[Argument]) -> Iterator[str]:
    helps = {key(option): _help(option) for option in embed} | _CORPUS_HELP
    yield "### A corpus: table `[corpus.NAME]`\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    for name, kind, default in corpus_keys():
        yield f"| `{name}` | {kind} | {_value(default)} | {helps[name]} |"


def corpus_keys() -> Iterator[tuple[str, str, Any]]:
    """Yield the keys of a corpus: its own fields and, flat, those of the records that it is made of, each once."""
    hints = get_type_hints(Corpus)
    for field in fields(Corpus):
        kind = hints[field.name]
        if is_dataclass(kind):
            prefix = "runner_" if kind is Runner else ""
            inner = get_type_hints(kind)
            for part in (part for part in fields(kind) if part.name not in hints):
                yield ("runner" if part.name == "kind" else prefix + part.name), _type(inner[part.name]), part.default
        elif field.name != "name":
            yield field.name, _type(kind), field.default


if __name__ == "__main__":
    run(PAGE, reference, description=__doc__)
