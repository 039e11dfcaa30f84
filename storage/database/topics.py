"""Topics in the catalog: the versions of each encoding's fitted topics, of which none is ever changed.

Every function works inside a transaction that it is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection

from polyseme.storage import checks
from polyseme.storage.database import meta
from polyseme.storage.database.encodings import Encoding
from polyseme.storage.errors import LakeError, PolysemeError
from polyseme.storage.fitted_topics import MOST_TOPICS, TopicFit

_LONGEST_FIT = 64 << 20


def read(connection: Connection, encodings: Iterable[Encoding]) -> dict[str, tuple[TopicFit, ...]]:
    """Return the versions, oldest first, by the id of their encoding. Raises LakeError for a damaged one."""
    origin = meta.origin(connection)
    found = dict[str, tuple[TopicFit, ...]]()
    for encoding in encodings:
        texts = meta.topic_fits(connection, encoding.encoding_id)
        fits = tuple(_checked(origin, text, width=encoding.spec.width) for text in texts)
        if [fit.version for fit in fits] != list(range(1, len(fits) + 1)):
            origin.refuse("the versions of topics in meta", [fit.version for fit in fits], "1, 2 and so on")
        if fits:
            found[encoding.encoding_id] = fits
    return found


def add(connection: Connection, encoding_id: str, fit: TopicFit) -> None:
    """Record a version after those that are there. Raises PolysemeError if another was added meanwhile."""
    known = len(meta.topic_fits(connection, encoding_id))
    if fit.version != known + 1:
        raise PolysemeError(
            f"Version {known} of the topics was fitted by another command meanwhile. Nothing was changed; fit again to "
            "get one after it."
        )
    text = json.dumps(fit.to_record(), ensure_ascii=False)
    try:
        _checked(meta.origin(connection), text, width=len(fit.centre))
    except LakeError as error:  # or no command could open the lake again
        raise PolysemeError(f"These topics cannot be stored, and nothing was changed. {error}") from error
    meta.record_topic_fit(connection, encoding_id, fit.version, text)


def _checked(origin: checks.Origin, text: object, *, width: int) -> TopicFit:
    """Return one version of the topics of an encoding, whose vectors have `width` numbers."""
    what = "the fitted topics of an encoding in meta"
    found = origin.object(text, what, longest=_LONGEST_FIT)
    origin.fields(found, what, list(TopicFit.__dataclass_fields__))
    for name, least in (("version", 1), ("catalog_version", 0), ("documents", 1), ("seed", 0)):
        origin.integer(found[name], f"{what}, {name}", least=least)
    origin.time(found["fitted_at"], f"{what}, fitted_at")
    for name in ("silhouette", "far_below"):
        if name != "silhouette" or found[name] is not None:
            origin.number(found[name], f"{what}, {name}", least=-2, most=2)
    topics = found["topics"]
    if not isinstance(topics, list) or not 0 < len(topics) <= MOST_TOPICS or not all(map(_is_topic, topics)):
        origin.refuse(f"{what}, topics", topics, f"a list of 1 to {MOST_TOPICS:,} topics")
    if len({topic["topic"] for topic in topics}) < len(topics):
        origin.refuse(f"{what}, topics", [topic["topic"] for topic in topics], "every id once")
    try:
        fit = TopicFit.from_record(found)
    except (ValueError, TypeError):
        origin.refuse(what, text, "vectors as Polyseme wrote them")
    if any(len(vector) != width for vector in (fit.centre, *(topic.direction for topic in fit.topics))):
        origin.refuse(what, len(fit.centre), f"vectors of {width} numbers")
    return fit


def _is_topic(value: object) -> bool:
    if not isinstance(value, dict) or value.keys() != {"topic", "words", "documents", "direction"}:
        return False
    counts, words = (value["topic"], value["documents"]), value["words"]
    counted = all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= checks.MOST for n in counts)
    return counted and isinstance(words, list) and all(map(_is_utf8, words)) and isinstance(value["direction"], str)


def _is_utf8(value: object) -> bool:
    return isinstance(value, str) and checks.is_utf8(value)
