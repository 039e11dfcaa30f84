"""Functions for SQL over a lake, a line and an example each, as shown by the shell's help. `docs/sql.md` has more."""

from __future__ import annotations

import re
from difflib import get_close_matches

import pyarrow as pa

from polyseme.flows.display.shell_commands import COMMANDS
from polyseme.storage.errors import UsageError
from polyseme.tasks.sql.execution import Queries

FUNCTIONS: tuple[tuple[str, str], ...] = (
    ("embed(text) -> FLOAT[d]", "the vector of a text, as the lake would store it for a sentence"),
    ("embed_word(text, word) -> FLOAT[d]", "the vector of a word in a text; NULL if the text does not contain it"),
    ("nsp(a, b) -> DOUBLE", "probability that sentence b follows a"),
    ("nsp_margin(a, b) -> DOUBLE", "log-odds of the same; does not saturate"),
    ("wordpiece(text) -> VARCHAR[]", "the WordPiece tokens of a text"),
    (
        "pll(text) -> DOUBLE",
        "pseudo-log-likelihood: sum of log-probabilities; variant := 'original' or 'within_word_l2r'",
    ),
    ("order_score(vectors) -> DOUBLE", "standard deviations by which neighbours are more alike than in a random order"),
    ("array_cosine_similarity(a, b) -> FLOAT", "cosine similarity of two vectors, -1 to 1 (DuckDB's)"),
    ("FROM nearest(text, k := 10, docs := ['*'], exact := false)", "the stored sentences nearest to a text"),
    ("FROM nearest_to(vector, k := 10, docs := ['*'], exact := false)", "the stored sentences nearest to a vector"),
    (
        "FROM nearest_occurrences(vector, k := 10, docs := ['*'], exact := false)",
        "the occurrences of any word nearest to a vector",
    ),
    ("word_key(word)", "what a word is looked up by"),
    ("word_keys(text)", "the keys of the words of a text"),
    (
        "FROM occurrences(word, by_lemma := false)",
        "every occurrence of a word with its sentence and vector",
    ),
    ("FROM kwic(pattern, width := 60, by_lemma := false, regex := false)", "every occurrence with the text around it"),
    (
        "FROM word_frequencies(docs := ['*'], at_least := 1, by_lemma := false, punctuation := false)",
        "words by frequency, with their dispersion",
    ),
    (
        "FROM keywords(docs, other_docs, at_least := 1, by_lemma := false, punctuation := false)",
        "the words that some documents have more of than others",
    ),
    ("FROM slice_figures(docs := ['*'])", "size, coherence and perplexity of some documents"),
    (
        "FROM neighbours(word, sense := NULL, k := 10, at_least := 5, by_lemma := false)",
        "the words that are used like a word, or like one of its senses",
    ),
    ("FROM hybrid(query, k := 10, docs := ['*'], candidates := 100)", "sentences by vector and by words together"),
    ("FROM maxsim(query, k := 10, docs := ['*'], candidates := 100)", "sentences by the likeness of each word"),
    (
        "FROM bm25(query, k := 10, docs := ['*'], k1 := 1.5, b := 0.75)",
        "the sentences that share most words with a text",
    ),
    ("FROM senses(word, by_lemma := false)", "every occurrence of a word with its sense"),
    ("FROM polysemy(at_least := 10, by_lemma := false)", "words by how varied their use is"),
    ("FROM near_duplicates(at_least := 0.8, docs := ['*'])", "documents that are nearly the same, in groups"),
    ("FROM similar_sentences(at_least := 0.95, docs := ['*'])", "pairs of sentences that mean nearly the same"),
    ("FROM topics_of(version)", "the topics of a version, as the view topics has those of the newest"),
    ("FROM document_topics_of(version)", "the topic of each document, as the view document_topics has the newest"),
    ("FROM drift(word, docs, other_docs, by_lemma := false)", "how differently two lists of documents use a word"),
    ("FROM drift_by(word, slice_by, bins := 'auto')", "a word in slices by an expression over documents"),
    ("FROM drift_rank(docs, other_docs, at_least := 10)", "all words by how differently two lists use them"),
    ("FROM breaks(document)", "the steps of a document, and where the text breaks"),
    ("FROM surprisal(text)", "the tokens of a text with the surprisal of each"),
    ("FROM fill_mask(text, k := 5)", "the likeliest tokens for every [MASK] of a text"),
)
EXAMPLES: dict[str, str] = {
    "embed": "SELECT array_cosine_similarity(embed('a flood'), embed('high water'))",
    "embed_word": "SELECT embed_word('He sat on the bank.', 'bank')",
    "nsp": "SELECT nsp('He went to the store.', 'He bought some milk.')",
    "nsp_margin": "SELECT nsp_margin('He went to the store.', 'He bought some milk.')",
    "wordpiece": "SELECT wordpiece('unbelievable')",
    "pll": "SELECT pll('The bank of the river.')",
    "order_score": "SELECT doc_id, order_score(list(embedding ORDER BY sentence_index)) FROM sentences GROUP BY doc_id",
    "array_cosine_similarity": "SELECT text, array_cosine_similarity(embedding, embed('rain')) FROM sentences LIMIT 5",
    "nearest": "FROM nearest('a flood in the valley', k := 3)",
    "nearest_to": "FROM nearest_to((SELECT embedding FROM sentences LIMIT 1), k := 3)",
    "nearest_occurrences": "FROM nearest_occurrences(embed_word('They moored at the bank.', 'bank'))",
    "word_key": "SELECT word_key('Straße')",
    "word_keys": "SELECT word_keys('The bank of the river.')",
    "occurrences": "SELECT title, sentence FROM occurrences('bank')",
    "senses": "SELECT sense, text_before, word, text_after FROM senses('bank') WHERE rank <= 3",
    "polysemy": "FROM polysemy(at_least := 2) LIMIT 10",
    "drift": "FROM drift('bank', (SELECT list(doc_id) FROM documents WHERE title LIKE '%river%'), "
    "(SELECT list(doc_id) FROM documents WHERE title LIKE '%money%'))",
    "near_duplicates": "SELECT group_id, similarity, doc_id FROM near_duplicates(at_least := 0.5)",
    "topics_of": "SELECT topic, label, documents FROM topics_of(1)",
    "document_topics_of": "SELECT topic, count(*) FROM document_topics_of(1) GROUP BY topic",
    "breaks": "FROM breaks((SELECT min(doc_id) FROM documents)) WHERE is_break",
    "surprisal": "FROM surprisal('The bank of the river.')",
    "fill_mask": "FROM fill_mask('The [MASK] chased the mouse.', k := 3)",
}
_NAME = re.compile(r"(?:FROM )?(\w+)\(")
_DUCKDB = """
SELECT function_name || '(' || array_to_string(parameters, ', ') || ')' AS signature,
       any_value(description) AS meaning, any_value(examples[1]) AS example
FROM duckdb_functions() WHERE function_name = lower($name) GROUP BY ALL ORDER BY signature LIMIT 8"""


def help_text() -> str:
    """Return the help of the shell."""
    width = 2 + max(len(name) for name, _ in COMMANDS)
    lines = ["End a statement with ; and Enter. Alt-Enter runs it without. Tab completes, Ctrl-C stops a query.", ""]
    lines += [f"  {name:{width}}{text}" for name, text in COMMANDS]
    lines += ["", "Functions and table macros besides DuckDB's own:"]
    lines += [f"  {name}\n      {text}" for name, text in FUNCTIONS]
    return "\n".join(lines)


def functions_table() -> pa.Table:
    """Return `function` and `meaning` of what there is besides DuckDB's own."""
    return pa.table({"function": [name for name, _ in FUNCTIONS], "meaning": [text for _, text in FUNCTIONS]})


def function_help(queries: Queries, name: str) -> str:
    """Return signature, meaning and an example of a function or macro, DuckDB's own too.

    Raises UsageError with the nearest name if there is none.
    """
    plain = name.lower().removesuffix("()").removesuffix("(")
    ours = {_NAME.match(signature)[1]: (signature, text) for signature, text in FUNCTIONS}  # type: ignore[index]
    encodings = [row["name"] for row in queries.ask("SELECT name FROM encodings")]
    base = next((plain.removesuffix(f"_{one}") for one in encodings if plain.endswith(f"_{one}")), plain)
    if base in ours:
        signature, text = ours[base]
        lines = [signature.replace(f"{base}(", f"{plain}(", 1), f"  {text}"]
        if base in EXAMPLES:
            lines.append(f"  Example: {EXAMPLES[base].replace(f'{base}(', f'{plain}(')};")
        return "\n".join([*lines, "  docs/sql.md describes it."])
    found = queries.ask(_DUCKDB, name=plain)
    if not found:
        known = [row["name"] for row in queries.ask("SELECT DISTINCT function_name AS name FROM duckdb_functions()")]
        near = get_close_matches(base, [*ours, *known], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"There is no function {name}.{hint} \\df lists those of Polyseme.")
    lines = [row["signature"] for row in found]
    about = next((row for row in found if row["meaning"]), None)
    if about is not None:
        lines.append(f"  {about['meaning']} (DuckDB's)")
        if about["example"]:
            lines.append(f"  Example: SELECT {about['example']};")
    return "\n".join(lines)
