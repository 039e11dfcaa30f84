"""Standard input: two inputs do not mix, and one that breaks off is a reject."""

from __future__ import annotations

import io
import json

import pytest

from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.documents import ReadOptions
from polyseme.tasks.reading.resolving import resolve
from polyseme.tasks.reading.sources import read_sources
from tests.hostile.lakeside import Lakeside, lakeside

__all__ = ["lakeside"]


def test_two_inputs_through_standard_input_do_not_mix(lakeside: Lakeside) -> None:
    for text in (b"The first text.", b"The second text.", b"The first text."):
        lakeside.embed("-", stdin=text)
    assert len(lakeside.documents()) == 2
    for name in ("mail", "news"):
        lakeside.embed("-", stdin=b"A third text.", stdin_name=name)
    assert {"stdin:mail", "stdin:news"} <= set(lakeside.documents())


def test_a_named_input_replaces_what_it_had_before(lakeside: Lakeside) -> None:
    lakeside.embed("-", stdin=b"The first text.", stdin_name="mail")
    assert lakeside.embed("-", stdin=b"The second text.", stdin_name="mail").tally.changed == 1
    assert list(lakeside.documents()) == ["stdin:mail"]


def test_an_input_is_the_same_if_something_was_appended_to_it(lakeside: Lakeside) -> None:
    line = json.dumps({"text": "The heron stood in the reeds. " * 3000}).encode() + b"\n"
    lakeside.embed("-", stdin=line)
    scan = lakeside.embed("-", stdin=line + b'{"text": "One more."}\n')
    assert (scan.tally.unchanged, scan.tally.new) == (1, 1)


def test_an_input_that_breaks_off_is_a_reject_however_early() -> None:
    class Broken(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if data := super().read1(size if size is not None else -1):
                return data
            raise OSError(5, "Input/output error")

    for content in (b"", b"{"):
        (found,) = read_sources(resolve(["-"]), ReadOptions(), stdin=Broken(content))
        assert getattr(found, "code", None) == "unreadable"


@pytest.mark.parametrize("name", ["", "a b", "../x", "sha256-0011223344556677", "é"])
def test_a_name_of_standard_input_that_is_malformed_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--stdin-name"):
        resolve(["-"], stdin_name=name)
