"""Checks: what a lake has after a run against what it had before, what the folders have, and what the lake says itself.

A difference is explained by a row of `rejects` or of `held_back`, and by nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyseme.tasks.reading.sources import INCOMPLETE_CODES
from tests.torture.week.contents import File
from tests.torture.week.folders import Truth, Where

Documents = dict[str, Where]
Covers = Callable[[str], bool]
_MOST_GONE, _SHARE_GONE = 10, 0.2
"""What one run may hide of a source without confirmation."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was in the lake: documents by encoding, rejects as `(uri, code, doc_id)`, and what is held back."""

    documents: dict[str, Documents]
    rejects: list[tuple[str, str, str | None]]
    held: list[tuple[str, str, int, int, str]]
    faults: list[str]

    @staticmethod
    def of(answer: dict[str, Any]) -> Seen:
        documents = {e: {d: (uri, text) for d, uri, text in rows} for e, rows in answer["documents"].items()}
        return Seen(
            documents, [tuple(r) for r in answer["rejects"]], [tuple(h) for h in answer["held"]], answer["faults"]
        )


EMPTY = Seen({}, [], [], [])


@dataclass(frozen=True, slots=True)
class Told:
    """What one or several runs were told: which addresses they cover, and whether everything may be deleted.

    `sources` are the absolute paths. `whole` is what they can read, `hidden` what is not deleted and cannot be read,
    `loose` what is neither sure to be there nor deleted, `known` the addresses at which the lake has had records, and
    `former` covers those under the names that sources had once: they may be of disks that are away.
    """

    sources: Sequence[str]
    covers: Covers
    whole: Truth
    everywhere: Truth
    hidden: Truth
    loose: Truth
    known: dict[str, set[str]]
    former: Covers
    confirmed: bool


def always(before: Seen, now: Seen, told: Told) -> list[str]:
    """Return what is wrong after anything, a killed run too: lost, wrong, doubled, or deleted against the limit."""
    bad = list(now.faults)
    for encoding_id, documents in now.documents.items():
        had = before.documents.get(encoding_id, {})
        bad += _invented(had, documents, told)
    shared = {
        uri for uri, of in _files_at(w for d in before.documents.values() for w in d.items()).items() if len(of) > 1
    }
    for encoding_id, had in before.documents.items():
        lost = _lost(had, now.documents.get(encoding_id, {}), told, now, shared)
        bad += [f"{line} (in {encoding_id})" for line in lost]
    return bad if told.confirmed else bad + _unguarded(before, now, told)


def completed(now: Seen, told: Told, encoding_id: str) -> list[str]:
    """Return the differences between the covered folders and the lake that the lake does not explain."""
    documents = {d: w for d, w in now.documents.get(encoding_id, {}).items() if told.covers(w[0])}
    bad = _missing(documents, now, told)
    bad += _extra(documents, now, told, encoding_id)
    bad += [
        f"{uri!r} is refused as {code}, and nothing is wrong with it"
        for uri, code, _ in now.rejects
        if code not in ("duplicate-id",) and told.covers(uri) and uri in told.whole.files
    ]
    for other, theirs in now.documents.items():
        if other != encoding_id:
            here = {d: w for d, w in theirs.items() if told.covers(w[0])}
            uris = {uri for uri, _ in told.whole.others}
            gone = {d: w for d, w in here.items() if d not in told.whole.ids and w[0] not in uris}
            bad += [f"in another encoding: {line}" for line in _extra(gone, now, told, other)]
    return bad


def _invented(had: Documents, documents: Documents, told: Told) -> list[str]:
    """Return documents with a text that was neither in the lake nor in the folders, and addresses of two files."""
    bad = []
    for doc_id, where in documents.items():
        known = doc_id in had and had[doc_id] == where
        known = known or any(t.has(doc_id, where) for t in (told.everywhere, told.hidden, told.loose))
        if not known and doc_id in told.everywhere.ids and doc_id in had:
            # Moved to another place that it has: the text of that place is read by the next run over it.
            known = where[1] == had[doc_id][1] and where[0] in {uri for uri, _ in told.everywhere.ids[doc_id]}
        if not known and doc_id in had and where[1] == had[doc_id][1]:
            # Moved there in another run's encoding, in which the text of this one is older, or back to where it was.
            known = where[0] in told.everywhere.files or where[0] in told.known.get(doc_id, ()) or told.former(where[0])
        if not known:
            bad.append(f"{doc_id!r} at {where[0]!r} has a text that no file has: {where[1][:60]!r}")
    # Not texts: a record whose number changed stands twice until a run comes to its end, or with what it holds back.
    # `completed` counts them.
    earlier = _files_at(had.items())
    return bad + [
        f"{uri!r} has documents with the ids of several files: {sorted(of)}"
        for uri, of in _files_at(documents.items()).items()
        if len(of) > max(1, len(earlier.get(uri, ())))
    ]


def _files_at(documents: Iterable[tuple[str, Where]]) -> dict[str, set[str]]:
    """Return, by address, the files that its documents without ids of their own were first read from.

    Only a restored document may be at an address that another has meanwhile: one of them goes with the next run.
    """
    files: dict[str, set[str]] = {}
    for doc_id, (uri, _) in documents:
        if doc_id.startswith("file:"):
            files.setdefault(uri, set()).add(doc_id.partition("#")[0])
    return files


def _lost(had: Documents, documents: Documents, told: Told, now: Seen, shared: Collection[str]) -> list[str]:
    """Return documents that are in the lake no more although nobody deleted them. `shared` have those of two files."""
    bad = []
    at_uri = Counter(uri for uri, _ in documents.values())
    whole_at = Counter(uri for uri, _ in told.everywhere.others.elements())
    had_at = Counter(uri for uri, _ in had.values())
    for doc_id, (uri, text) in had.items():
        if doc_id in documents:
            continue
        if doc_id in told.everywhere.ids or doc_id in told.hidden.ids:
            places = told.everywhere.ids.get(doc_id, set()) | told.hidden.ids.get(doc_id, set())
            if not ({uri} | told.known.get(doc_id, set())) & {place for place, _ in places}:
                continue  # moved to a source that was not read yet
            bad.append(f"{doc_id!r} of {uri!r} is lost: it is still there")
        elif uri in told.hidden.files and _may_have(told.hidden.files[uri], doc_id):
            bad.append(f"{doc_id!r} of {uri!r} is lost: its file cannot be read, and nobody deleted it")
        elif (
            uri not in shared
            and whole_at[uri]
            and at_uri[uri] < min(whole_at[uri], had_at[uri])
            and not _refused(now, uri, doc_id)
        ):
            bad.append(f"{doc_id!r} of {uri!r} is lost: its file is there, with {text[:60]!r} before")
    return bad


def _may_have(file: File, doc_id: str) -> bool:
    """Return whether a file that cannot be read has a record with this number, as far as anybody knows."""
    number = doc_id.rpartition("#")[2]
    return not file.ids and (not number.isdecimal() or int(number) <= len(file.texts))


def _unguarded(before: Seen, now: Seen, told: Told) -> list[str]:
    """Return the sources of which more was hidden than one run may hide.

    The guard judges the encoding of a run: what that loses, all lose, however many documents they have.
    """
    bad = []
    for source in told.sources:
        allowed, wrong = set[str](), list[tuple[set[str], str]]()
        for encoding_id, had in before.documents.items():
            mine = {d for d, (uri, _) in had.items() if told.covers(uri) and _under(uri, source)}
            gone = mine - now.documents.get(encoding_id, {}).keys()
            if len(gone) > max(_MOST_GONE, _SHARE_GONE * len(mine)) or (gone and len(gone) == len(mine)):
                wrong.append((gone, f"{len(gone)} of {len(mine)} documents of {source!r} were deleted unconfirmed"))
            else:
                allowed |= gone
        bad += [line for gone, line in wrong if not gone <= allowed]
    return bad


def _missing(documents: Documents, now: Seen, told: Told) -> list[str]:
    bad = []
    for doc_id, places in told.whole.ids.items():
        if documents.get(doc_id) not in places and not any(_refused(now, uri, doc_id, only=True) for uri, _ in places):
            bad.append(f"{doc_id!r} of {sorted(places)!r} is not in the lake: {documents.get(doc_id)!r}")
    there = Counter(where for doc_id, where in documents.items() if doc_id not in told.whole.ids)
    for where, count in told.whole.others.items():
        if there[where] < count and not _refused(now, where[0], where[0], only=True):
            bad.append(f"{where!r} is not in the lake")
    return bad


def _extra(documents: Documents, now: Seen, told: Told, encoding_id: str) -> list[str]:
    left = dict(told.whole.others)
    extra = {}
    for doc_id, where in documents.items():
        if doc_id in told.whole.ids:
            if where not in told.whole.ids[doc_id]:
                extra[doc_id] = where
        elif left.get(where, 0) > 0:
            left[where] -= 1
        else:
            extra[doc_id] = where
    extra = {d: where for d, where in extra.items() if not _refused(now, where[0], d)}
    bad = []
    for source in told.sources:
        mine = {d: where for d, where in extra.items() if _under(where[0], source)}
        allowed = max((n for e, name, n, _, _ in now.held if e == encoding_id and name in names_of(source)), default=0)
        if len(mine) > allowed:
            shown = [f"{d!r} at {uri!r} with {text[:60]!r}" for d, (uri, text) in list(mine.items())[:3]]
            bad.append(f"{len(mine)} documents of {source!r} that it no longer has, {allowed} held back: {shown}")
    return bad


def _refused(now: Seen, uri: str, doc_id: str, *, only: bool = False) -> bool:
    """Return whether a reject explains a document: of its id, of its file, of a folder above; `only` of itself."""
    for where, code, id_ in now.rejects:
        if id_ == doc_id or (where == uri and (id_ is None or code in INCOMPLETE_CODES)):
            return True
        if where == uri and id_ is not None and id_[len(uri) :] == doc_id[len(doc_id.partition("#")[0]) :]:
            return True  # of a file that was moved: its documents have the old address in their ids
        if not only and code == "unreadable" and uri.startswith(where.rstrip("/") + "/"):
            return True
    return False


def _under(uri: str, source: str) -> bool:
    base = Path(source).as_uri()
    return uri == base or uri.startswith(base + "/")


def names_of(source: str) -> tuple[str, str]:
    """Return what the lake calls a source: its path, or its address if the path is not UTF-8."""
    return (source, Path(source).as_uri())


def covering(sources: Iterable[str]) -> Covers:
    """Return whether a uri is of one of these absolute files or folders."""
    known = list(sources)
    return lambda uri: any(_under(uri, source) for source in known)
