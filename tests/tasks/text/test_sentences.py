"""A splitter is found by the name that an encoding has, or refused."""

from __future__ import annotations

import pytest

from polyseme.storage.errors import ModelError, UsageError
from polyseme.tasks.text.sentences import SPLITTER, Splitting, has_better, split, split_by, splitter_named
from polyseme.tasks.text.splitting import punkt

TEXT = "Er kam am 5. Juli in die Bank. Peter wartete."


def parts(splitting: Splitting) -> list[str]:
    return [TEXT[s.start : s.stop] for s in split(TEXT, splitting)]


def test_a_splitter_splits_by_the_language_it_is_told() -> None:
    assert parts(Splitting()) == ["Er kam am 5.", "Juli in die Bank.", "Peter wartete."]
    assert parts(Splitting(language="de")) == ["Er kam am 5. Juli in die Bank.", "Peter wartete."]
    assert parts(Splitting(language="auto")) == parts(Splitting(language="de"))
    assert split(TEXT, Splitting(punkt.NAME)) == punkt.split(TEXT)


def test_a_splitter_that_is_not_here_as_it_was_is_refused_with_what_to_install() -> None:
    with pytest.raises(ModelError, match=r"split by nupunkt-0\.1\.0/1, and this installation has .* --splitter rules"):
        split_by(Splitting("nupunkt-0.1.0/1"))


def test_short_names_stand_for_those_of_this_release() -> None:
    assert splitter_named("rules") == splitter_named(SPLITTER) == SPLITTER
    assert splitter_named("nupunkt") == punkt.NAME
    with pytest.raises(UsageError, match="No splitter is named 'pysbd'; there are rules, nupunkt, lines"):
        splitter_named("pysbd")


def test_only_the_splitter_of_new_encodings_has_no_better() -> None:
    assert not has_better(SPLITTER)
    assert has_better(punkt.NAME)
    assert has_better("rules/0")
    assert not has_better("someones-own-1.0")


def test_a_language_is_a_code() -> None:
    with pytest.raises(UsageError, match="'German' was given"):
        Splitting(language="German")
