"""Descriptions of the views: what a row of each is, what each column means, and in which unit.

In one place: a published file has them as comments (`duckdb_columns().comment`), and the shell shows them. Offsets
count from 0, ends are exclusive. docs/data-model.md says more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from polyseme.storage.sql.literals import quote, quote_name


class Meaning(NamedTuple):
    """What a column means, and its unit or range; empty if it has none."""

    text: str
    unit: str = ""


class Described(NamedTuple):
    """What one row of a view is, and its columns."""

    row: str
    columns: dict[str, Meaning]


_PLACE = {
    "doc_id": Meaning("the document"),
    "sentence_index": Meaning("the sentence in its document", "from 0"),
}
_SPAN = {
    "char_start": Meaning("where it begins in documents.text", "characters, from 0"),
    "char_end": Meaning("where it ends, exclusive", "characters"),
}

VIEWS: dict[str, Described] = {
    "documents": Described(
        "one document: its text, its source, and how much it has of everything",
        {
            "doc_id": Meaning("its id: the record's own, or its address"),
            "version": Meaning("the number of the run that read it"),
            "uri": Meaning("its address"),
            "title": Meaning("its title, if its source has one"),
            "metadata": Meaning("other fields of its record: metadata->>'genre'", "JSON"),
            "text": Meaning("its text in Unicode NFC"),
            "language": Meaning("what it was split by; NULL if not clear", "ISO 639"),
            "n_chars": Meaning("length of the text", "characters"),
            "n_sentences": Meaning("its sentences"),
            "n_tokens": Meaning("its tokens, all of which have a vector"),
            "n_unknown": Meaning("tokens for text that the vocabulary does not have"),
            "content_sha256": Meaning("SHA-256 of the text", "hexadecimal"),
            "ingested_at": Meaning("when it was encoded", "UTC"),
            "modified_at": Meaning("when its file was last changed", "UTC"),
            "bytes": Meaning("size of its file", "bytes"),
            "path": Meaning("where its file lies now"),
            "filename": Meaning("the last part of the path"),
            "extension": Meaning("of the file, without its dot", "lower case"),
        },
    ),
    "sentences": Described(
        "one sentence with its vector",
        {
            **_PLACE,
            **_SPAN,
            "text": Meaning("the sentence as it stands in the document"),
            "n_tokens": Meaning("its tokens"),
            "pll": Meaning("pseudo-log-likelihood; NULL without embed --pll", "nats, 0 and below"),
            "pll_variant": Meaning("how pll was computed"),
            "embedding": Meaning("its vector: the mean over its tokens, or what the checkpoint says"),
        },
    ),
    "words": Described(
        "one word where it occurs, with its vector in context",
        {
            **_PLACE,
            "word_index": Meaning("the word in its sentence", "from 0"),
            **_SPAN,
            "word": Meaning("the word as the text has it"),
            "word_lower": Meaning("its key, by which words are looked up: word_key(word)"),
            "lemma": Meaning("the key of its dictionary form; NULL without embed --lemma"),
            "tokens": Meaning("its WordPiece tokens"),
            "embedding": Meaning("its vector: the mean of its tokens' vectors"),
        },
    ),
    "tokens": Described(
        "one token of the model's vocabulary with its vector (embed --level tokens)",
        {
            **_PLACE,
            "token_index": Meaning("the token in its sentence", "from 0"),
            "word_index": Meaning("the word it belongs to", "from 0"),
            **_SPAN,
            "token": Meaning("the token; ## goes on a word"),
            "token_id": Meaning("its number in the vocabulary"),
            "layer": Meaning("the layers whose states are its vector"),
            "surprisal": Meaning("its share of the sentence's pll, negated", "nats, 0 and above"),
            "replaced_logit": Meaning("ELECTRA: that it was replaced by another", "log-odds"),
            "embedding": Meaning("its vector"),
        },
    ),
    "transitions": Described(
        "one scored pair of sentences: a step of a text, or a random pair for comparison",
        {
            **_PLACE,
            "kind": Meaning("adjacent: a step of the text; random: a pair drawn for the baseline"),
            "next_doc_id": Meaning("the document of the second sentence"),
            "next_sentence_index": Meaning("the second sentence", "from 0"),
            "nsp_logit_is_next": Meaning("NSP's score that the second follows", "logit"),
            "nsp_logit_not_next": Meaning("NSP's score that it does not", "logit"),
            "cosine": Meaning("cosine of the two sentence vectors", "-1 to 1"),
            "n_truncated": Meaning("tokens of the pair beyond the model's window"),
            "order_margin": Meaning("the order head: in order, not swapped", "log-odds"),
        },
    ),
    "coherence": Described(
        "one step of a text, from a sentence to the next, and how it ranks among random pairs",
        {
            **_PLACE,
            "margin": Meaning("NSP: that the next sentence follows", "log-odds"),
            "probability": Meaning("the same as a probability; saturates", "0 to 1"),
            "percentile": Meaning("share of random pairs with a smaller margin", "0 to 1"),
            "z_score": Meaning("standard deviations above the mean of random pairs"),
            "cosine": Meaning("cosine of the two sentence vectors", "-1 to 1"),
            "order_margin": Meaning("the order head: in order, not swapped", "log-odds"),
            "text": Meaning("the sentence"),
            "next_text": Meaning("the sentence after it"),
        },
    ),
    "perplexity": Described(
        "one document that was embedded with --pll, and how surprising it is to the model",
        {
            "doc_id": Meaning("the document"),
            "pll_variant": Meaning("how pll was computed"),
            "n_sentences": Meaning("its sentences with a pll"),
            "n_tokens": Meaning("the tokens of these"),
            "pll": Meaning("sum of their pseudo-log-likelihoods", "nats, 0 and below"),
            "perplexity": Meaning("e to the mean surprisal of a token", "1 and above"),
        },
    ),
    "duplicate_sentences": Described(
        "one of several sentences with the same text, whatever space is in it",
        {
            "group_id": Meaning("the sentences that are the same; the largest group is 1", "from 1"),
            "copies": Meaning("how many sentences these are", "2 and above"),
            "place": Meaning("which of them it is, in the order of the documents", "from 1"),
            **_PLACE,
            "text": Meaning("the sentence as it stands in the document"),
        },
    ),
    "duplicate_documents": Described(
        "one of several documents with the same text, by its hash",
        {
            "group_id": Meaning("the documents that are the same; the largest group is 1", "from 1"),
            "copies": Meaning("how many documents these are", "2 and above"),
            "place": Meaning("which of them it is, by id", "from 1"),
            "doc_id": Meaning("the document"),
            "uri": Meaning("its address"),
            "title": Meaning("its title, if its source has one"),
        },
    ),
    "topics": Described(
        "one topic of the newest version that polyseme topics --fit made",
        {
            "topic": Meaning("its id, which it keeps in later versions if it is matched"),
            "label": Meaning("its first words"),
            "words": Meaning("the words that tell it from the others, best first, as they were when it was fitted"),
            "documents": Meaning("the documents that it has now"),
            "far_documents": Meaning("those of them that are far from every topic"),
            "typical": Meaning("the ids of the documents most similar to it"),
            "fitted_documents": Meaning("the documents that it had when it was fitted"),
            "since": Meaning("the version that had it first", "from 1"),
            "version": Meaning("the version of the topics; topics_of(version) has older ones", "from 1"),
            "fitted_at": Meaning("when it was fitted", "UTC"),
        },
    ),
    "document_topics": Described(
        "one document with the topic of the newest version that it is most similar to",
        {
            "doc_id": Meaning("the document"),
            "topic": Meaning("the id of its topic"),
            "similarity": Meaning("cosine of its vector to the topic's, less what all documents share", "-1 to 1"),
            "is_far": Meaning("less similar than 19 of 20 documents of the fit were to their topic"),
        },
    ),
    "rejects": Described(
        "one input that the last scan of its source refused, and why",
        {
            "run_id": Meaning("the run that refused it"),
            "uri": Meaning("the file or object it is in"),
            "locator": Meaning("where in it: a line, a row, a page"),
            "stage": Meaning("what was being done"),
            "code": Meaning("the reason in one word; docs/data-model.md lists all"),
            "message": Meaning("what was found and what to do"),
            "excerpt": Meaning("the beginning of what was refused"),
            "doc_id": Meaning("the document it would be, if that is known"),
        },
    ),
    "skipped": Described(
        "one kind of files that the last scan of a source did not read",
        {
            "source": Meaning("the source they are in"),
            "extension": Meaning("their extension"),
            "reason": Meaning("why they were not read"),
            "files": Meaning("how many they are"),
            "example": Meaning("one of them"),
            "run_id": Meaning("the run that counted them"),
        },
    ),
    "runs": Described(
        "one run that wrote to the lake: what it did and how long it took",
        {
            "run_id": Meaning("its id"),
            "ordinal": Meaning("its number, the version of what it wrote"),
            "flow_run_id": Meaning("its id in Prefect"),
            "encoding_id": Meaning("the encoding it wrote"),
            "sources": Meaning("what it read", "JSON"),
            "state": Meaning("running, completed, held-back, failed, cancelled or died"),
            "started_at": Meaning("when it began", "UTC"),
            "finished_at": Meaning("when it ended", "UTC"),
            "documents": Meaning("documents that it encoded or rounded"),
            "redescribed": Meaning("documents of which only title or metadata changed"),
            "sentences": Meaning("sentences that it wrote"),
            "words": Meaning("words that it wrote"),
            "tokens": Meaning("tokens that it wrote"),
            "transitions": Meaning("pairs that it wrote"),
            "reused_sentences": Meaning("sentences whose rows were copied from the lake"),
            "reused_tokens": Meaning("tokens whose vectors were copied"),
            "forward_tokens": Meaning("tokens run through the model"),
            "unknown_tokens": Meaning("tokens for text that the vocabulary does not have"),
            "unknown_documents": Meaning("documents that the model knows too little of"),
            "rounded_documents": Meaning("documents whose vectors it rounded to a smaller tier, without the model"),
            "bytes": Meaning("size of what it wrote", "bytes"),
            "skipped": Meaning("documents that were unchanged"),
            "deleted": Meaning("documents that were gone"),
            "rejected": Meaning("inputs that it refused"),
            "seconds": Meaning("time of each stage: seconds->>'encode'", "JSON, seconds"),
            "error": Meaning("why it failed"),
            "host": Meaning("the machine it ran on"),
            "process": Meaning("its process: process->>'pid'", "JSON"),
            "seen_at": Meaning("its last sign of life", "UTC"),
            "wall_seconds": Meaning("how long it took; NULL until it ends", "seconds"),
            "lane_busy": Meaning("share of that in which the model was busy", "0 to the number of workers"),
        },
    ),
    "encodings": Described(
        "one encoding: the model and settings that determine every vector of it",
        {
            "name": Meaning("its name, the suffix of its views"),
            "encoding_id": Meaning("its id"),
            "is_default": Meaning("whether views without a suffix show it"),
            "model": Meaning("the checkpoint"),
            "width": Meaning("numbers in a vector"),
            "layers": Meaning("the layers whose states are a vector"),
            "pooling": Meaning("how tokens become a sentence's vector"),
            "context": Meaning("what is in the window with a sentence"),
            "max_tokens": Meaning("size of the window", "tokens"),
            "precision": Meaning("of the arithmetic"),
            "splitter": Meaning("what splits texts into sentences"),
            "scheme": Meaning("version of the arithmetic"),
            "normalize": Meaning("whether sentence vectors have length 1"),
            "dense": Meaning("layers after pooling"),
            "prompt": Meaning("text put before each sentence"),
            "query_prompt": Meaning("text put before each query"),
            "word_definition": Meaning("what a word is"),
            "language": Meaning("what texts are split by: auto or a code", "ISO 639"),
            "markdown": Meaning("how Markdown was read"),
            "join_hyphens": Meaning("whether words divided at a line's end are joined"),
            "store": Meaning("how vectors are stored: float16, int8 or binary, or by table"),
            "stored_sentences": Meaning("what that costs, measured on vectors of the lake; NULL for float16"),
            "stored_words": Meaning("the same of words"),
            "model_sha256": Meaning("SHA-256 of the weights", "hexadecimal"),
            "tokenizer_sha256": Meaning("SHA-256 of the tokenizer", "hexadecimal"),
            "token_cosine": Meaning("int8: mean cosine of token vectors to fp32's", "-1 to 1"),
            "least_token_cosine": Meaning("int8: the least of these", "-1 to 1"),
            "recall_at_10": Meaning("int8: share of the ten nearest sentences that are the same", "0 to 1"),
            "created_at": Meaning("when it was first used", "UTC"),
        },
    ),
}


def described(view: str, encodings: Iterable[str] = ()) -> Described | None:
    """Return the description of a view, also of one with the suffix of an encoding; None of another."""
    plain = next((view.removesuffix(f"_{name}") for name in encodings if view.endswith(f"_{name}")), view)
    return VIEWS.get(view) or VIEWS.get(plain)


def comments(tables: Iterable[str]) -> Iterator[str]:
    """Yield the statements that comment the views, and those of them that are `tables`, and their columns."""
    of_table = set(tables)
    for name, view in VIEWS.items():
        kind = "TABLE" if name in of_table else "VIEW"
        yield f"COMMENT ON {kind} {quote_name(name)} IS {quote(view.row)}"
        for column, meaning in view.columns.items():
            unit = f" ({meaning.unit})" if meaning.unit else ""
            yield f"COMMENT ON COLUMN {quote_name(name)}.{quote_name(column)} IS {quote(meaning.text + unit)}"
