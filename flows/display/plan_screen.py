"""The plan of a run on one screen: a row for each source, then what would be encoded, written and hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from polyseme.flows.display.columns import Column, aligned
from polyseme.flows.display.quantities import count, duration, size
from polyseme.flows.display.refused_text import refused_places, refused_text
from polyseme.flows.display.skipped_text import skipped_text
from polyseme.flows.runs.plan import Plan
from polyseme.storage.wording import many
from polyseme.tasks.shards.deletion_guard import explain
from polyseme.tasks.shards.tally import Tally

_MOST_SOURCES = 12


def screen(plan: Plan, *, width: int) -> Iterator[str]:
    """Yield the lines; those of the table are no wider than `width`."""
    yield from aligned(list(_columns(plan)), width, indent="")
    yield ""
    about = "" if plan.is_exact else "about "
    if plan.to_encode:
        yield _encoding(plan, about)
    if plan.counts.rounded_documents:
        yield _rounding(plan, about)
    if plan.to_encode or plan.counts.rounded_documents:
        yield _effort(plan)
    elif plan.tally.redescribed or plan.tally.moved or plan.tally.deleted:
        yield "Nothing to encode."
    else:
        yield "Nothing to do."
    if plan.skipped:
        yield f"{skipped_text(plan.skipped)}."
    if plan.refused:
        yield f"{refused_text(plan.refused)}:"
        yield from refused_places(plan.refused)
    if plan.absent:
        yield f"Not there: {'; '.join(plan.absent)}."
    for held in plan.held_back:
        yield f"Held back: {explain(held)}."
    yield "This is a plan, and nothing was written."


def _columns(plan: Plan) -> Iterator[Column]:
    shown = plan.sources if len(plan.sources) <= _MOST_SOURCES else plan.sources[: _MOST_SOURCES - 1]
    tallies, held = [one.tally for one in shown], [one.n_held_back for one in shown]
    names = [one.source for one in shown]
    if left := plan.sources[len(shown) :]:
        names.append(many(len(left), "more sources"))
        tallies.append(_sum([one.tally for one in left]))
        held.append(sum(one.n_held_back for one in left))
    if len(plan.sources) != 1:
        names.append("all" if plan.sources else "documents of the lake")
        tallies.append(plan.tally)
        held.append(sum(one.documents for one in plan.held_back))
    yield Column(heading="source", texts=names, flexible=True)
    kinds: list[tuple[str, Callable[[Tally], int]]] = [
        ("read", lambda t: t.documents), ("new", lambda t: t.new), ("changed", lambda t: t.changed),
        ("described anew", lambda t: t.redescribed), ("unchanged", lambda t: t.unchanged),
        ("not opened", lambda t: t.unopened),
        ("moved", lambda t: t.moved), ("refused", lambda t: t.rejected),
        ("files skipped", lambda t: t.skipped_files), ("to delete", lambda t: t.deleted),
    ]  # fmt: skip
    for heading, value in kinds:
        numbers = [value(tally) for tally in tallies]
        # What is always asked for, and of the rest what is there.
        if any(numbers) or heading in ("read", "new", "changed", "unchanged"):
            yield Column(heading=heading, texts=[count(n) for n in numbers], number=True)
    if any(held):
        yield Column(heading="held back", texts=[count(n) for n in held], number=True)


def _sum(tallies: Sequence[Tally]) -> Tally:
    names = Tally.__slots__
    return Tally(**{name: sum(getattr(tally, name) for tally in tallies) for name in names})


def _encoding(plan: Plan, about: str) -> str:
    counts = plan.counts
    reused = f", {counts.reused_sentences:,} reused" if counts.reused_sentences else ""
    return (
        f"{many(plan.to_encode, 'documents')} to encode in the {_kind(plan)} {_named(plan)}: "
        f"{about}{many(counts.sentences - counts.reused_sentences, 'sentences')} to encode{reused}; "
        f"{about}{many(counts.forward_tokens, 'tokens')} to run for {many(counts.tokens, 'tokens')} of text."
    )


def _rounding(plan: Plan, about: str) -> str:
    counts, documents = plan.counts, many(plan.counts.rounded_documents, "documents")
    if plan.to_encode:
        return f"{documents} more to round to {plan.store}, from vectors that the lake has."
    return (
        f"{documents} to round to {plan.store}, from vectors that the lake has, into the {_kind(plan)} "
        f"{plan.encoding}: {about}{many(counts.sentences, 'sentences')}, {many(counts.tokens, 'tokens')}; the model "
        "does not run."
    )


def _kind(plan: Plan) -> str:
    return "new encoding" if plan.is_new_encoding else "encoding"


def _named(plan: Plan) -> str:
    """Return the name of the encoding, and how it stores vectors where that is not the usual."""
    return plan.encoding if plan.store == "float16" else f"{plan.encoding} (stored as {plan.store})"


def _effort(plan: Plan) -> str:
    counts = plan.counts
    rate = (
        f" Encoding takes about {duration(plan.seconds)}, at the {plan.tokens_per_second:,.0f} tokens/s measured now."
        if plan.tokens_per_second
        else ""
    )
    vectors = many(plan.vectors, "vectors") if plan.is_exact else f"About {many(plan.vectors, 'vectors')}"
    return f"{vectors}, about {size(counts.bytes)} in the lake.{rate}"
