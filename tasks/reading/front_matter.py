"""Front matter: the fields that a Markdown file states above its text, in YAML between `---` or TOML between `+++`.

Values of YAML are those of JSON: numbers as they are written, `true`, `false`, `null`, and text for everything else, so
that `no` is a word, `1.10` keeps its zero, and a date is what was written. What is no mapping, or broken, is text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Hashable, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from functools import cache
from math import isfinite
from typing import Any, ClassVar

from polyseme.tasks.reading.documents import LongNumber

_OPENED = re.compile(r"(---|\+\+\+)[ \t]*\r?\n")
_MOST_CHARS = 1 << 16
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Return the fields above a text, and the text below them; no fields and all of it if there are none."""
    opened = _OPENED.match(text)
    if opened is None:
        return {}, text
    fence = opened[1]
    ends = r"---|\.\.\." if fence == "---" else r"\+\+\+"
    closed = re.compile(rf"^(?:{ends})[ \t]*(?:\r?\n|\Z)", re.MULTILINE).search(text, opened.end(), _MOST_CHARS)
    if closed is None:
        return {}, text
    block = text[opened.end() : closed.start()]
    fields = _yaml(block) if fence == "---" else _toml(block)
    return (fields, text[closed.end() :]) if fields else ({}, text)


def _toml(block: str) -> dict[str, Any]:
    with suppress(tomllib.TOMLDecodeError, ValueError, RecursionError):
        return {name: _plain(value) for name, value in tomllib.loads(block, parse_float=_number).items()}
    return {}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return _number(str(value)) if isinstance(value, int) and not isinstance(value, bool) else value


def _yaml(block: str) -> dict[str, Any]:
    import yaml  # only here: most texts have no front matter

    with suppress(yaml.YAMLError, ValueError, RecursionError, TypeError):
        found = yaml.load(block, _loader())
        return found if isinstance(found, dict) else {}
    return {}


def _number(written: str) -> str | LongNumber:
    """Return a number as it was written, as text if it is beyond what readers of JSON take."""
    return LongNumber(written) if _NUMBER.fullmatch(written) and isfinite(float(written)) else written


@cache
def _loader() -> Any:
    import yaml

    tag = "tag:yaml.org,2002:"

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Scalars, lists and mappings of JSON. No aliases: a few lines of them expand to gigabytes."""

        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}
        yaml_constructors: ClassVar[dict[str, Any]] = {
            f"{tag}{kind}": yaml.SafeLoader.yaml_constructors[f"{tag}{kind}"]
            for kind in ("str", "seq", "map", "bool", "null")
        }

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("an alias")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            return {self.construct_scalar(name): self.construct_object(value, deep=deep) for name, value in node.value}

    Loader.add_implicit_resolver(f"{tag}null", re.compile(r"(?:~|null|)\Z"), ["~", "n", ""])
    Loader.add_implicit_resolver(f"{tag}bool", re.compile(r"(?:true|false)\Z"), ["t", "f"])
    Loader.add_implicit_resolver("!number", re.compile(rf"(?:{_NUMBER.pattern})\Z"), list("-0123456789"))
    Loader.add_constructor("!number", lambda loader, node: _number(node.value))
    return Loader
