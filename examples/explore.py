"""A lake in a notebook of marimo: its figures, the senses of a word, the coherence of a document, a search by meaning.

    marimo edit examples/explore.py -- --lake lake
    python examples/explore.py --lake lake --word bank

Without `--lake` it is what POLYSEME_LAKE names, else the demo's. As a script it prints what its cells show. Needs
polyseme[notebook].
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Polyseme")


@app.cell
def _():
    import os
    from pathlib import Path

    import marimo as mo

    import polyseme

    return Path, mo, os, polyseme


@app.cell
def _(Path, mo, os, polyseme):
    given = mo.cli_args()
    demo = Path(__file__).resolve().parent.parent / "demo-lake"
    lake = polyseme.open(str(given.get("lake") or os.environ.get("POLYSEME_LAKE") or demo))
    lake
    return given, lake


@app.cell
def _(given, mo):
    word = mo.ui.text(value=str(given.get("word") or "bank"), label="Word")
    word
    return (word,)


@app.cell
def _(lake, word):
    senses = lake.senses(word.value)
    typical = lake.sql(
        "SELECT sense, size, round(typicality, 2) AS typicality, right(text_before, 50) AS before, word, "
        "left(text_after, 50) AS after FROM senses($word) WHERE rank <= 5 ORDER BY sense, rank",
        word=word.value,
    )
    typical
    return senses, typical


@app.cell
def _(given, lake, mo):
    titles = {
        f"{row['title']} ({row['doc_id']})": row["doc_id"]
        for row in lake.sql("SELECT doc_id, coalesce(title, filename, doc_id) AS title FROM documents ORDER BY doc_id")
    }
    chosen = next((title for title, doc_id in titles.items() if doc_id == given.get("document")), next(iter(titles)))
    document = mo.ui.dropdown(titles, value=chosen, label="Document")
    document
    return (document,)


@app.cell
def _(document, lake):
    steps = lake.coherence(document.value)
    steps
    return (steps,)


@app.cell
def _(given, mo):
    question = mo.ui.text(value=str(given.get("search") or "a flood in the valley"), label="Search", full_width=True)
    question
    return (question,)


@app.cell
def _(lake, question):
    hits = lake.nearest(question.value, 5)
    hits
    return (hits,)


@app.cell
def _(hits, lake, mo, steps, typical):
    if mo.app_meta().mode == "script":
        for shown in (lake, typical, steps, hits):
            print(shown, end="\n\n")


if __name__ == "__main__":
    app.run()
