"""A word usage graph has one line a use, whatever is in its text, and places in it that stay right."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyseme.flows.display.usage_graph import write_usage_graph
from polyseme.tasks.evaluation.usage_graphs import _uses
from polyseme.tasks.sql.word_uses import WordUse

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


@given(TEXT, TEXT, st.sampled_from(["1999", "first\tslice", "2001-05"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_is_written_is_read_with_the_word_in_its_place(
    tmp_path: Path, before: str, after: str, value: str
) -> None:
    context = before + "bänk" + after
    place = (len(before), len(before) + 4)
    uses = [WordUse(f"a\nb-{i}-0", 0, value, value, context, (0, len(context)), place, 1, 0.5) for i in range(3)]
    path, *_ = write_usage_graph("supreme court/s", uses, tmp_path)
    assert path == tmp_path / "data" / "supreme_court_s" / "uses.csv"
    read = list(_uses(path))
    assert len(read) == 3
    for use in read:
        assert use.text[use.start : use.end] == "bänk"
        assert len(use.text) == len(context)
