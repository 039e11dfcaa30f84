"""What a lake needs next: a line about each thing, and the command to paste.

From the values that `polyseme status --json` shows. Decides nothing: no command is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import normpath
from shlex import quote
from typing import Any

from polyseme.flows.display.columns import cut
from polyseme.flows.display.quantities import size
from polyseme.flows.display.unknown_text import unknown_text
from polyseme.storage.database.runs import DIED
from polyseme.storage.records import HeldBack
from polyseme.storage.wording import many
from polyseme.tasks.inference.lake_model import RENEW

UNFINISHED = (DIED, "failed", "cancelled")
"""States of a run after which some of its documents may not be encoded."""
_LONGEST_ERROR = 200
"""Characters of an error, which may be a page: what to do about it is said after it."""
_WHOLE_LAKE = "lake"
"""The source of a backfill of all documents; of one with a condition it is `lake and CONDITION`."""
_MOST_SOURCES = 5
"""Sources that a command names; of a run with more, the command is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToDo:
    """One thing to do. `command` is empty if only the user knows it."""

    what: str
    command: str = ""


def to_do(
    encodings: Sequence[Mapping[str, Any]],
    held: Sequence[HeldBack],
    runs: Sequence[Mapping[str, Any]],
    lake: str,
    *,
    broken: Sequence[str] = (),
    replaced: Mapping[str, int] | None = None,
) -> list[ToDo]:
    """Return what the lake at `lake` needs: confirmations, runs to repeat, repairs, backfills. `runs` are latest first.

    Each run has `sources` as a list; `broken` are the paths of parts that merges found missing or changed, `replaced`
    has the numbers of parts that nobody reads any more.
    """
    place = quote(lake)
    return [
        *_broken(broken, place),
        *_held(held, place),
        *_unfinished(runs, place),
        *_stale(encodings, place),
        *_earlier(encodings, place),
        *_unknown(runs),
        *_earlier_splitter(encodings, place),
        *_removable(replaced or {}, place),
    ]


def _broken(parts: Sequence[str], place: str) -> Iterator[ToDo]:
    if parts:
        which = f"{len(parts):,} parts are" if len(parts) > 1 else "A part is"
        yield ToDo(
            what=f"{which} missing or changed, such as {parts[0]}, and those before are not merged. See "
            "what is lost with",
            command=f"polyseme verify --lake {place}",
        )


def _held(held: Sequence[HeldBack], place: str) -> Iterator[ToDo]:
    """Yield one for each source of which documents were held back."""
    for one in held:
        yield ToDo(
            what=f"{one.documents:,} of the {many(one.had, 'documents')} of {one.source} held back from deletion by "
            f"run {one.run_id} ({one.reason}), such as {one.examples[0]}. If they are gone, with the options as before",
            command=f"polyseme embed {quote(one.source)} --lake {place} --delete-limit {one.confirm_with}",
        )


def _unfinished(runs: Sequence[Mapping[str, Any]], place: str) -> Iterator[ToDo]:
    """Yield one for each run that did not do its work and has none after it over its sources, in any order."""
    later = list[tuple[str, frozenset[str]]]()
    for run in runs:
        encoding, over = run["encoding_id"], frozenset(map(_identity, run["sources"]))
        if run["state"] in UNFINISHED and not any(encoding == of and _covers(sources, over) for of, sources in later):
            documents, said = run["documents"], _sentence(run["error"] or "no reason is recorded")
            verb = "was cancelled" if run["state"] == "cancelled" else str(run["state"])
            yield ToDo(
                what=f"Run {run['run_id']} {verb}: {said} It committed {many(documents, 'documents')}. The "
                "rest, with the options as before",
                command=_again(run["sources"], place),
            )
        later.append((encoding, over))


def _unknown(runs: Sequence[Mapping[str, Any]]) -> Iterator[ToDo]:
    """Yield one if a tenth or more of what the last run encoded is text that its model does not know."""
    last = next((run for run in runs if run["documents"]), None)
    if last and 10 * last["unknown_documents"] >= last["documents"]:
        said = unknown_text(last["unknown_documents"], last["documents"])
        yield ToDo(what=f"Run {last['run_id']}: {said.rstrip('.')}")


def _covers(later: frozenset[str], sources: frozenset[str]) -> bool:
    """Whether a run over `later` did what one over these sources had to: one over all of the lake, any part of it."""
    return sources <= later or (_WHOLE_LAKE in later and all(map(_is_of_the_lake, sources)))


def _identity(source: str) -> str:
    """Return one text for a source however it was typed; runs of earlier versions recorded it as it was."""
    return source if source == "-" or "://" in source or _is_of_the_lake(source) else normpath(source)


def _is_of_the_lake(source: str) -> bool:
    return source == _WHOLE_LAKE or source.startswith("lake and ")


def _sentence(error: str) -> str:
    """Return an error in one line, or as much of it as there is room for."""
    line = cut(" ".join(error.split()), _LONGEST_ERROR).rstrip(".")
    return line if line.endswith("…") else f"{line}."


def _again(sources: Sequence[str], place: str) -> str:
    if not 0 < len(sources) <= _MOST_SOURCES or "-" in sources:
        return ""
    if _is_of_the_lake(sources[0]):
        return f"polyseme backfill --lake {place}"
    return f"polyseme embed {' '.join(map(quote, sources))} --lake {place}"


def _stale(encodings: Sequence[Mapping[str, Any]], place: str) -> Iterator[ToDo]:
    """Yield one for each encoding with stale documents. An encoding whose model is gone cannot be completed."""
    for e in encodings:
        others = [o["name"] for o in encodings if o is not e]
        source = f" --from {others[0] if len(others) == 1 else 'ENCODING'}"
        if (e["missing"] or e["outdated"]) and not e["earlier_model"]:
            yield ToDo(
                what=f"{e['name']} lacks {many(e['missing'], 'documents')} and has {e['outdated']:,} with an older "
                "text",
                command=f"polyseme backfill --encoding {e['name']}{source} --lake {place}",
            )
        if e["damaged"]:
            yield ToDo(
                what=f"{e['name']} has {many(e['damaged'], 'documents')} that lost rows",
                command=f"polyseme verify --repair --lake {place}",
            )


def _earlier(encodings: Sequence[Mapping[str, Any]], place: str) -> Iterator[ToDo]:
    """Yield one for each encoding of an earlier embedded model."""
    for e in (e for e in encodings if e["earlier_model"]):
        present = [o for o in encodings if o["model"] == e["model"] and not o["earlier_model"]]
        same = [o for o in present if all(o[name] == e[name] for name in ("layers", "context", "precision"))]
        complete = [o["name"] for o in same if not (o["missing"] or o["outdated"] or o["damaged"])]
        # As the default, an incomplete encoding would hide the documents that it lacks.
        layers = "" if e["layers"] == "last" else f" --layers {e['layers']}"
        renew = RENEW.format(name=e["name"]) + layers
        command = f"polyseme status --default {complete[0]}" if complete else renew
        if e["default"] or not complete:
            yield ToDo(
                what=f"{e['name']} was made by an earlier version of {e['model']}. With the present one",
                command=f"{command} --lake {place}",
            )


def _earlier_splitter(encodings: Sequence[Mapping[str, Any]], place: str) -> Iterator[ToDo]:
    """Yield one for each encoding whose sentences a better splitter would find otherwise, unless it was done."""
    alike = ("model", "layers", "context", "precision", "language")
    for e in encodings:
        others = [o for o in encodings if not o["earlier_splitter"] and all(o[name] == e[name] for name in alike)]
        if e["earlier_splitter"] and not e["earlier_model"] and not others:
            yield ToDo(
                what=f"{e['name']} keeps the sentences of {e['splitter']}, and this release finds them better. To "
                f"encode its {many(e['documents'], 'documents')} ({many(e['tokens'], 'tokens')}) again, as another "
                "encoding",
                command=f"polyseme backfill --from {e['name']} --splitter rules --name {e['name'][:40]}_rules "
                f"--lake {place}",
            )


def _removable(replaced: Mapping[str, int], place: str) -> Iterator[ToDo]:
    """Yield one if there are replaced parts that no reader may need any more."""
    if parts := replaced.get("removable_parts", 0):
        yield ToDo(
            what=f"{many(parts, 'parts')} with {size(replaced['removable_bytes'])} can be removed: replaced over a day "
            "ago, and no reader needs them",
            command=f"polyseme vacuum --lake {place}",
        )
