"""What SQL can use in a lake, in a line each: shown by the shell's help and completed from. `docs/sql.md` says more."""

from __future__ import annotations

FUNCTIONS: tuple[tuple[str, str], ...] = (
    ("embed(text) -> FLOAT[d]", "the vector of a text, as the lake would store it for a sentence"),
    ("embed_word(text, word) -> FLOAT[d]", "the vector of a word in a text; NULL where the text does not hold it"),
    ("nsp(a, b) -> DOUBLE", "probability that sentence b follows a"),
    ("nsp_margin(a, b) -> DOUBLE", "log-odds of the same; does not saturate"),
    ("wordpiece(text) -> VARCHAR[]", "the WordPiece tokens of a text"),
    (
        "pll(text) -> DOUBLE",
        "pseudo-log-likelihood: sum of log-probabilities; variant := 'original' or 'within_word_l2r'",
    ),
    ("array_cosine_similarity(a, b) -> FLOAT", "how alike two vectors are, -1 to 1 (DuckDB's)"),
    ("FROM nearest(text, k := 10, docs := ['*'])", "the stored sentences most like a text"),
    ("FROM nearest_to(vector, k := 10, docs := ['*'])", "the stored sentences most like a vector"),
    ("FROM occurrences(word)", "every occurrence of a word with its sentence and vector"),
    ("FROM senses(word)", "every occurrence of a word with the sense it is used in"),
    ("FROM polysemy(at_least := 10)", "words by how varied their use is"),
    ("FROM drift(word, docs, other_docs)", "how differently two lists of documents use a word"),
    ("FROM breaks(document)", "the steps of a document, and where the text breaks"),
    ("FROM surprisal(text)", "the tokens of a text, and how surprised the model is by each"),
    ("FROM fill_mask(text, k := 5)", "the likeliest tokens for every [MASK] of a text"),
)
COMMANDS: tuple[tuple[str, str], ...] = (
    (r"\?", "this help"),
    (r"\d [VIEW]", "the lake's views, or the columns of one"),
    (r"\f FORMAT", "how answers are written: table, json, jsonl, csv"),
    (r"\t", "show how long each statement took, or not"),
    (r"\q", "leave (also Ctrl-D)"),
)


def help_text() -> str:
    """Return the help of the shell."""
    width = 2 + max(len(name) for name, _ in FUNCTIONS)
    lines = ["End a statement with ; and Enter. Alt-Enter runs it without. Tab completes, Ctrl-C stops a query.", ""]
    lines += [f"  {name:{width}}{says}" for name, says in COMMANDS]
    lines += ["", "Functions and table macros besides DuckDB's own:"]
    lines += [f"  {name:{width}}{says}" for name, says in FUNCTIONS]
    return "\n".join(lines)
