"""`polyseme topics`: the topics of the lake's documents, the documents of one, and new versions of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.results import Limit, ResultOptions, limit_clause
from polyseme.flows.commands.options.running import Timeout
from polyseme.flows.display.not_found import not_found
from polyseme.flows.display.output import Format, write_table
from polyseme.flows.display.progress_bar import followed
from polyseme.flows.display.terminal import note
from polyseme.storage.errors import UsageError
from polyseme.storage.wording import many

if TYPE_CHECKING:
    from polyseme.storage.database.encodings import Encoding
    from polyseme.storage.fitted_topics import TopicFit
    from polyseme.storage.lake import Lake
    from polyseme.tasks.sql.execution import Queries

_PEOPLE = """
SELECT t.topic, t.documents, t.far_documents AS far, t.since, array_to_string(t.words[:6], ', ') AS words,
       coalesce(d.title, t.typical[1]) AS typical
FROM "topics_of{suffix}"({version}) AS t LEFT JOIN "documents{suffix}" AS d ON d.doc_id = t.typical[1]
ORDER BY t.documents DESC, t.topic {limit}"""
_PROGRAMS = 'FROM "topics_of{suffix}"({version}) ORDER BY documents DESC, topic {limit}'
_DOCUMENTS = """
SELECT {similarity} AS similarity, t.is_far, t.doc_id, d.title
FROM "document_topics_of{suffix}"({version}) AS t JOIN "documents{suffix}" AS d ON d.doc_id = t.doc_id
WHERE t.topic = {topic} ORDER BY t.similarity DESC, t.doc_id {limit}"""
_FAR = 'SELECT count(*) AS documents, count(*) FILTER (is_far) AS far FROM "document_topics_of{suffix}"({version})'


def topics(
    topic: int | None = None,
    *,
    fit: Annotated[bool, Parameter(negative="")] = False,
    number: Annotated[int | None, Parameter(alias="-n")] = None,
    anew: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 0,
    at_version: int | None = None,
    encoding: str | None = None,
    limit: Limit = 25,
    timeout: Timeout = None,
    lake: LakeOptions = LakeOptions(),
    result: ResultOptions = ResultOptions(),
) -> int:
    """List the topics of the documents, with the words that tell each from the others, or the documents of TOPIC.

    Topics are found by --fit, and then stay: documents that are embedded later are given one of them at once, and no
    other document gets another. When many are far from every topic, --fit makes a new version, in which topics keep
    their ids as far as they have the same documents. Older versions stay: --at-version.

    Exit code 1 if there are none. In SQL: FROM topics, FROM document_topics, and topics_of(1), document_topics_of(1).

    Example: polyseme topics --fit

    Example: polyseme topics

    Example: polyseme topics 3 --limit 10

    Parameters
    ----------
    topic
        The id of a topic: list its documents, the most typical first.
    fit
        Find topics in the documents of the lake as it is now, and store them as a new version.
    number
        With --fit: how many topics. By default the number that divides the documents best (silhouette), up to 100.
    anew
        With --fit: do not start from the topics of the version before.
    seed
        With --fit: of the random numbers that the search starts from, from 0; the same gives the same topics.
    at_version
        Show this version of the topics, from 1. By default the newest.
    encoding
        The encoding whose vectors are meant, as polyseme status names it. By default the lake's default.
    """
    from polyseme.tasks.sql.execution import Queries
    from polyseme.tasks.sql.functions import ModelFunctions

    form, place, limited = result.form, lake.lake(), limit_clause(limit)
    if fit and (topic is not None or at_version is not None):
        raise UsageError("--fit makes a new version of all topics. Leave TOPIC and --at-version out.")
    if not fit and (number is not None or anew or seed):
        raise UsageError("--number, --anew and --seed say how topics are found: give them with --fit.")
    chosen, fits = _fitted(place, encoding, number, seed, anew=anew) if fit else _known(place, encoding)
    if not fits:
        return not_found(f"The encoding {chosen.name} has no topics yet. polyseme topics --fit finds some.", form)
    shown = _version(fits, at_version)
    if topic is not None and topic not in {one.topic for one in shown.topics}:
        raise UsageError(f"Version {shown.version} has no topic {topic}; there are: {_listed(shown)}.")
    with Queries(place, ModelFunctions()) as queries:
        names = {"suffix": f"_{chosen.name}", "version": shown.version, "limit": limited}
        _write(queries, shown, topic, names, form=form, timeout=timeout)
    return 0


def _write(
    queries: Queries, shown: TopicFit, topic: int | None, names: dict[str, object], *, form: Format,
    timeout: float | None,
) -> None:  # fmt: skip
    """Write the topics of a version, or the documents of one, and to stderr what they are of."""
    if topic is not None:
        similarity = "round(t.similarity, 3)" if form == "table" else "t.similarity"
        found = queries.table(_DOCUMENTS.format(topic=topic, similarity=similarity, **names), timeout=timeout)
        one = next(one for one in shown.topics if one.topic == topic)
        note(f"Topic {topic}, version {shown.version}: {', '.join(one.words) or 'no words of its own'}.")
    else:
        found = queries.table((_PEOPLE if form == "table" else _PROGRAMS).format(**names), timeout=timeout)
        note(_about(shown, **queries.ask(_FAR.format(**names), timeout=timeout)[0]))
    write_table(found, form)


def _about(shown: TopicFit, documents: int, far: int) -> str:
    text = (
        f"{many(len(shown.topics), 'topics')}, version {shown.version}, fitted {shown.fitted_at[:10]} to "
        f"{many(shown.documents, 'documents')}. Of the {many(documents, 'documents')} now, {far:,} "
        f"{'is' if far == 1 else 'are'} far from all."
    )
    # One in twenty is by definition, and of the new ones as many if they are like those of the fit.
    return f"{text} polyseme topics --fit finds topics for them." if far >= max(5, 0.1 * documents) else text


def _fitted(
    place: Lake, encoding: str | None, number: int | None, seed: int, *, anew: bool
) -> tuple[Encoding, tuple[TopicFit, ...]]:
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.sql.publish import publish
    from polyseme.storage.sql.selection import find_encoding
    from polyseme.tasks.sql.topic_fit import fit_topics

    with Catalog.open(place) as catalog:
        snapshot = catalog.snapshot()
        chosen = find_encoding(snapshot, encoding)
        doing = [("opening the lake", 0.0)]
        with followed("topics", doing[0][0], lambda: doing[-1]) as tick:

            def report(what: str, share: float) -> None:
                doing.append((what, share))
                tick()

            made = fit_topics(snapshot, place, chosen, number=number, seed=seed, anew=anew, report=report)
        catalog.add_topics(chosen.encoding_id, made)
        publish(catalog)
    return chosen, (*snapshot.topics.get(chosen.encoding_id, ()), made)


def _known(place: Lake, encoding: str | None) -> tuple[Encoding, tuple[TopicFit, ...]]:
    from polyseme.storage.catalog import Catalog
    from polyseme.storage.sql.selection import find_encoding

    with Catalog.open(place) as catalog:
        snapshot = catalog.snapshot()
    chosen = find_encoding(snapshot, encoding)
    return chosen, snapshot.topics.get(chosen.encoding_id, ())


def _version(fits: tuple[TopicFit, ...], wanted: int | None) -> TopicFit:
    if wanted is not None and not 1 <= wanted <= len(fits):
        raise UsageError(f"There is no version {wanted} of the topics; there are 1 to {len(fits)}.")
    return fits[-1 if wanted is None else wanted - 1]


def _listed(shown: TopicFit) -> str:
    ids = [str(one.topic) for one in shown.topics]
    return ", ".join(ids[:20] + ["…"] * (len(ids) > 20))
