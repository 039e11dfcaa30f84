"""coherence: the documents of a run, ranked, with breaks as events and the drift since the run before."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Outputs
from tests.flows.conftest import Ask

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api")]


@pytest.fixture(autouse=True)
def configured(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure the lake: an event may name no other."""
    monkeypatch.setenv("POLYSEME_LAKE", str(lake))


SPLICED = (
    "The dough is kneaded for ten minutes. It rises under a cloth in a warm place. When it has doubled in height it is "
    "shaped into loaves. The loaves are baked until their crust is brown. The railway reached the town in 1864. The "
    "first locomotive was met by a brass band. Its driver was given a silver watch. The line closed a century later."
)


def embed(corpus: Path, lake: Path, *, nsp: bool = True) -> str:
    from polyseme.flows.embed import EmbedRequest, embed_corpus

    return embed_corpus(
        EmbedRequest(sources=[str(corpus)], lake=str(lake), outputs=Outputs("sentences", None, nsp))
    ).run_id


def test_a_run_is_reported_on_and_compared_with_the_one_before(
    corpus: Path, lake: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.artifacts import Artifact

    from polyseme.flows import coherence as module

    emitted: list[module.CoherenceBreak] = []
    monkeypatch.setattr(module, "emit", emitted.append)
    first = embed(corpus, lake)
    assert module.coherence(str(lake), first) == 0
    page = Artifact.get("coherence-report")
    assert page is not None
    assert f"Coherence of run {first}" in str(page.data)
    assert "| documents | 3 | – | – |" in str(page.data)

    (corpus / "spliced.txt").write_text(SPLICED, encoding="utf-8")
    second = embed(corpus, lake)
    broken = module.coherence(str(lake), second)
    page, least = Artifact.get("coherence-report"), Artifact.get("coherence-least")
    assert page is not None
    assert least is not None
    assert "| documents | 1 | 3 | -2.00 |" in str(page.data)
    assert "Drift: the mean margin moved by" in str(page.data)
    assert '"steps": 7' in str(least.data)
    assert '"order score": ' in str(least.data)
    assert "mean order score" in str(page.data)
    assert "dough" not in f"{page.data}{least.data}"

    assert broken == len(emitted) == 1
    assert emitted[0].doc_id.endswith("spliced.txt")
    assert 3 in emitted[0].after_sentences
    ((worst,),) = ask("SELECT min(margin) FROM coherence WHERE doc_id LIKE '%spliced.txt'")
    assert emitted[0].worst_margin == pytest.approx(worst, abs=1e-3)


def test_a_run_without_nsp_is_reported_as_such_and_an_unknown_run_is_refused(corpus: Path, lake: Path) -> None:
    from prefect.artifacts import Artifact

    from polyseme.flows.coherence import coherence

    assert coherence(str(lake), embed(corpus, lake, nsp=False)) == 0
    page = Artifact.get("coherence-report")
    assert page is not None
    assert "Nothing was scored" in str(page.data)
    with pytest.raises(UsageError, match="no run 'missing'"):
        coherence(str(lake), "missing")


def test_texts_too_short_for_an_order_score_have_none_in_the_level() -> None:
    from polyseme.flows.coherence import _page, level
    from polyseme.tasks.sql.run_texts import Text

    short = Text(
        doc_id="a", title=None, margins=(1.0, 2.0), worst_after=0, percentile=None, broken_after=(), deepest_after=None,
        break_margin=0.0, order_score=None, order_margin=None,
    )  # fmt: skip
    found = level([short])
    assert found is not None
    assert found.order_score is None
    assert "| mean order score | – | – | – |" in _page("run", "lake", found, None, 0)
