"""Functions for SQL over a lake, a line each, as shown by the shell's help. `docs/sql.md` is their reference."""

from __future__ import annotations

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
    ("FROM nearest(text, k := 10, docs := ['*'])", "the stored sentences nearest to a text"),
    ("FROM nearest_to(vector, k := 10, docs := ['*'])", "the stored sentences nearest to a vector"),
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
    ("FROM drift(word, docs, other_docs, by_lemma := false)", "how differently two lists of documents use a word"),
    ("FROM breaks(document)", "the steps of a document, and where the text breaks"),
    ("FROM surprisal(text)", "the tokens of a text with the surprisal of each"),
    ("FROM fill_mask(text, k := 5)", "the likeliest tokens for every [MASK] of a text"),
)
COMMANDS: tuple[tuple[str, str], ...] = (
    (r"\?", "this help"),
    (r"\d [VIEW]", "the lake's views, or the columns of one"),
    (r"\f FORMAT", "how results are written: table, json, jsonl, csv"),
    (r"\t", "switch the time of each statement on or off"),
    (r"\q", "leave (also Ctrl-D)"),
)


def help_text() -> str:
    """Return the help of the shell."""
    width = 2 + max(len(name) for name, _ in FUNCTIONS)
    lines = ["End a statement with ; and Enter. Alt-Enter runs it without. Tab completes, Ctrl-C stops a query.", ""]
    lines += [f"  {name:{width}}{text}" for name, text in COMMANDS]
    lines += ["", "Functions and table macros besides DuckDB's own:"]
    lines += [f"  {name:{width}}{text}" for name, text in FUNCTIONS]
    return "\n".join(lines)
