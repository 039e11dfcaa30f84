"""The status of a lake on one screen: what it holds, what its last runs did, what is refused, what to do next.

Draws what `polyseme status --json` shows; 24 lines of 100 characters for a usual lake.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from polyseme.flows.display.columns import Column, aligned, cut
from polyseme.flows.display.quantities import count, duration, moment, size
from polyseme.flows.display.refused_text import codes_text
from polyseme.flows.display.skipped_text import skipped_text
from polyseme.flows.display.terminal import escaped
from polyseme.storage.database.runs import RUNNING
from polyseme.storage.database.skipped_files import SkippedFiles
from polyseme.storage.tiers import tier_of

_MOST_ENCODINGS, _MOST_TO_DO = 8, 5
_LONGEST_TEXT = 400
"""Characters of what there is to do: the error of a run may be a page."""


def screen(status: Mapping[str, Any], *, now: datetime, width: int, wrap: bool) -> Iterator[str]:
    """Yield the lines. With `wrap` sentences are broken at `width` too, and commands never are."""
    encodings = status["encodings"]
    yield from _wrapped(f"Lake {status['lake']}: {_holdings(encodings)}", width if wrap else None, indent="  ")
    yield ""
    yield from _encodings(encodings, width)
    yield ""
    yield from _runs(status["runs"], now, width)
    for run in status["running"]:
        yield from _wrapped(_alive(run, now), width if wrap else None)
    if status["rejects_by_code"]:
        yield from _wrapped(_rejects(status["rejects_by_code"]), width if wrap else None)
    if status["skipped"]:
        yield from _wrapped(f'{_skipped(status["skipped"])}: polyseme sql "from skipped"', width if wrap else None)
    yield ""
    yield from _to_do(status["to_do"], width if wrap else None)


def _holdings(encodings: Sequence[Mapping[str, Any]]) -> str:
    if not encodings:
        return "empty"
    # Of the one that plain views show: others hold the same documents again.
    shown = next((e for e in encodings if e["default"]), encodings[0])
    parts, stored = sum(e["parts"] for e in encodings), sum(e["bytes"] for e in encodings)
    held = (
        f"{_many(shown['documents'], 'documents')}, {_sentences(shown)} sentences, {_many(shown['tokens'], 'tokens')}"
    )
    of = f" in {_many(len(encodings), 'encodings')}" if len(encodings) > 1 else ""
    return f"{held}{of}; {size(stored)} in {_many(parts, 'parts')}"


def _encodings(encodings: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    yield "Encodings" + (", * what plain views show" if len(encodings) > 1 else "")
    if not encodings:
        yield "  None: polyseme embed makes the first."
        return
    first = sorted(encodings, key=lambda e: not e["default"])[:_MOST_ENCODINGS]
    several = len(encodings) > 1
    stale = [e["missing"] + e["outdated"] + e["damaged"] for e in first]
    yield from aligned(
        [
            Column(heading="name", texts=[_mark(e) + e["name"] if several else e["name"] for e in first]),
            Column(heading="documents", texts=[count(e["documents"]) for e in first], number=True),
            Column(heading="stale", texts=[count(n) if any(stale) else "" for n in stale], number=True),
            Column(heading="sentences", texts=[_sentences(e) for e in first], number=True, rank=4),
            Column(heading="tokens", texts=[count(e["tokens"]) for e in first], number=True, rank=1),
            Column(heading="size", texts=[size(e["bytes"]) for e in first], number=True, rank=2),
            Column(heading="stored", texts=_stored(first), rank=1),
            Column(heading="parts", texts=[count(e["parts"]) for e in first], number=True, rank=5),
            Column(
                heading="model, context, precision, width", texts=[_made_by(e) for e in first], flexible=True, rank=3
            ),
        ],
        width,
    )  # fmt: skip
    if len(encodings) > len(first):
        yield f"  and {len(encodings) - len(first)} more: polyseme status --json"
    for e in first:
        if settings := ", ".join(_settings(e)):
            yield cut(escaped(f"  {e['name']}: {settings}"), width)


def _mark(e: Mapping[str, Any]) -> str:
    return "* " if e["default"] else "  "


def _sentences(e: Mapping[str, Any]) -> str:
    """Return how many sentences an encoding has: about, if its parts have rows of earlier versions of documents."""
    return ("~" if e["superseded"] else "") + count(e["sentence_rows"])


def _stored(encodings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how vectors are stored, of sentences and words where these differ; nothing if all are float16."""
    tiers = [list(dict.fromkeys(tier_of(e["store"], table) for table in ("sentences", "words"))) for e in encodings]
    usual = all(found == ["float16"] for found in tiers)
    return ["" if usual else ", ".join(found) for found in tiers]


def _made_by(e: Mapping[str, Any]) -> str:
    return f"{e['model']}, {e['context']}, {e['precision']}, {e['width']}"


def _settings(e: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the checkpoint or the options said of sentences and their vectors, where it is not the usual."""
    if "=" in e["store"]:
        yield f"stored as {e['store']}"
    if e["layers"] != "last":
        yield f"layers {e['layers']}"
    if e["pooling"] != "mean":
        yield f"pooling {e['pooling']}"
    if e["dense"]:
        yield "dense layers"
    if e["normalize"]:
        yield "vectors of length 1"
    if e["prompt"]:
        yield f"prompt {e['prompt']!r}"
    if e["query_prompt"]:
        yield f"query prompt {e['query_prompt']!r}"
    if not e["earlier_splitter"] and not e["splitter"].startswith("rules"):
        yield f"sentences by {e['splitter']}"
    if e["language"] not in ("auto", "en"):
        yield f"language {e['language']}"


def _runs(runs: Sequence[Mapping[str, Any]], now: datetime, width: int) -> Iterator[str]:
    yield "Last runs"
    if not runs:
        yield "  None."
        return

    def column(heading: str, name: str, rank: int = 0) -> Column:
        return Column(heading=heading, texts=[count(run.get(name)) for run in runs], number=True, rank=rank)

    described, rounded = ([run.get(name) for run in runs] for name in ("redescribed", "rounded_documents"))
    encoded = [run["documents"] - (run.get("rounded_documents") or 0) for run in runs]
    yield from aligned(
        [
            Column(heading="run", texts=[run["run_id"] for run in runs]),
            Column(heading="from (UTC)", texts=[moment(_time(run["started_at"]), now) for run in runs], rank=1),
            Column(heading="state", texts=[run["state"] for run in runs]),
            Column(heading="took", texts=[duration(run["seconds_wall"]) for run in runs], number=True, rank=5),
            Column(heading="encoded", texts=[count(n) for n in encoded], number=True),
            Column(heading="rounded", texts=[count(n) if any(rounded) else "" for n in rounded], number=True, rank=1),
            Column(
                heading="metadata", texts=[count(n) if any(described) else "" for n in described], number=True, rank=6
            ),
            column("skipped", "skipped", rank=7),
            column("deleted", "deleted", rank=4),
            column("rejected", "rejected", rank=2),
            column("tokens", "tokens", rank=3),
            column("reused", "reused_tokens", rank=6),
            column("tokens/s", "tokens_per_second", rank=8),
        ],
        width,
    )


def _alive(run: Mapping[str, Any], now: datetime) -> str:
    """Return a line about a run that goes on, or does so as far as is known."""
    seen = f"last sign of life {duration((now - _time(run['seen_at'])).total_seconds())} ago" if run["seen_at"] else ""
    where = f" on {run['host']}" if run["host"] else ""
    since = duration((now - _time(run["started_at"])).total_seconds())
    done = f"{_many(run['documents'], 'documents')} and {_many(run['tokens'], 'tokens')} committed"
    return f"Run {run['run_id']} is {RUNNING}{where} since {since}: {', '.join(filter(None, (done, seen)))}."


def _rejects(by_code: Mapping[str, int]) -> str:
    return f"Rejects: {sum(by_code.values()):,} ({codes_text(by_code)}): polyseme rejects"


def _skipped(rows: Sequence[Mapping[str, Any]]) -> str:
    return skipped_text([SkippedFiles(**{name: row[name] for name in SkippedFiles.__slots__}) for row in rows])


def _to_do(found: Sequence[Mapping[str, str]], width: int | None) -> Iterator[str]:
    if not found:
        yield "To do: nothing."
        return
    yield "To do"
    for one in found[:_MOST_TO_DO]:
        yield from _wrapped(f"- {cut(one['what'], _LONGEST_TEXT)}{':' if one['command'] else '.'}", width, indent="  ")
        if one["command"]:
            yield escaped(f"    {one['command']}")
    if len(found) > _MOST_TO_DO:
        yield f"- and {len(found) - _MOST_TO_DO} more: polyseme status --json"


def _wrapped(text: str, width: int | None, *, indent: str = "") -> list[str]:
    text = escaped(" ".join(text.split()))
    if width is None:
        return [text]
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _many(number: int, things: str) -> str:
    """Return a number with its noun, which is given in the plural."""
    return f"{count(number)} {things.removesuffix('s') if number == 1 else things}"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
