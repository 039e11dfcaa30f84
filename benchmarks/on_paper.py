"""What a hundred million and a billion sentences take, computed from rates that were measured: no run was this large.

    python -m benchmarks.on_paper --sentences 100000000 1000000000

Every rate stands beside the command that measured it. Text is like the mixed English corpus of docs/performance.md, and
vectors have 384 numbers. What is computed is a product: that costs grow like a line is what `benchmarks.scale`,
`search_scale`, `code_scan` and `large_catalog` measured up to their sizes, and beyond them it is an assumption.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

_DAY, _GB = 86_400, 1e9
_CORES = 64
_PART_BYTES = 256 * 2**20
"""What compaction makes of a table's parts at most."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured number, its unit, and the command that measured it."""

    value: float
    unit: str
    command: str


_MIXED = "sqlite3 LAKE/catalog.sqlite 'SELECT table_name, sum(bytes) / sum(rows) FROM parts GROUP BY 1'"
_COUNTS = "polyseme embed mixed.jsonl.gz"
_TIERS = "python -m benchmarks.tiers --lake LAKE --choices"
_LARGE = "python -m benchmarks.large_catalog"

RATES = {
    "tokens": Rate(2_931_914 / 111_131, "tokens a sentence", _COUNTS),
    "words": Rate(2_717_887 / 111_131, "words a sentence", _COUNTS),
    "documents": Rate(2_578 / 111_131, "documents a sentence", _COUNTS),
    "document": Rate(2171, "bytes a document, its text included", _MIXED),
    "sentence": Rate(832 - 773, "bytes a sentence, without its vector", _MIXED),
    "word": Rate(785 - 773, "bytes a word, without its vector", _MIXED),
    "transition": Rate(23.5, "bytes a transition", _MIXED),
    "float16": Rate(773, "bytes a vector, float16", _TIERS),
    "int8": Rate(390.5, "bytes a vector, int8", _TIERS),
    "binary": Rate(52.3, "bytes a vector, binary", _TIERS),
    "catalog": Rate(584, "bytes of catalog a document", _LARGE),
    "index": Rate(57, "bytes of index a sentence", "python -m benchmarks.search_scale --sentences 10000000"),
    "question": Rate(58e-3 / 10e6, "CPU s a sentence, one question",
                     "python -m benchmarks.search_scale --sentences 10000000"),
    "codes": Rate(0.24 / 100e6, "CPU s a code, one question by cells",
                  "python -m benchmarks.code_scan --codes 100000000"),
    "scan": Rate(4.5e-6, "CPU s a vector, SQL over all float16 vectors", _TIERS),
    "encode all": Rate(1241, "tokens a CPU s: vectors of words and sentences, NSP, Parquet", _COUNTS),
    "encode sentences": Rate(4097, "tokens a CPU s: sentence vectors alone", "python -m benchmarks.throughput"),
    "GPU": Rate(258_000, "tokens a second: documents to sentence vectors in Parquet, BERT-base's shape, one H200",
                "python -m benchmarks.gpu_session --parts measure"),
    "plan": Rate(50e-6, "CPU s an unchanged document", _LARGE),
    "open": Rate(0.45e-3, "CPU s a part file, to open a lake for SQL", _LARGE),
}  # fmt: skip


def computed(sentences: float) -> Iterator[tuple[str, str]]:
    """Yield what so many sentences take: what, and how much of it."""
    r = {name: rate.value for name, rate in RATES.items()}
    documents, words, tokens = (sentences * r[name] for name in ("documents", "words", "tokens"))
    yield "documents, words, tokens", ", ".join(_number(n) for n in (documents, words, tokens))
    rest = documents * r["document"] + sentences * (r["sentence"] + r["transition"])
    stored = {}
    for tier in ("float16", "int8", "binary"):
        without = stored[f"sentences {tier}, no words"] = rest + sentences * r[tier]
        yield f"in the lake, sentences {tier}, no words", _bytes(without)
    for of_sentences, of_words in (("float16", "float16"), ("int8", "int8"), ("int8", "binary")):
        every = rest + sentences * r[of_sentences] + words * (r["word"] + r[of_words])
        stored[f"{of_sentences}, words {of_words}"] = every
        yield f"in the lake, sentences {of_sentences}, words {of_words}", _bytes(every)
    yield "catalog", _bytes(documents * r["catalog"])
    yield "index of sentences", _bytes(sentences * r["index"])
    yield "one question by the index, CPU s; at least, on 64 cores", _seconds(sentences * r["question"])
    yield "the same, codes alone", _seconds(sentences * r["codes"])
    yield "SQL over all sentence vectors, CPU s; at least, on 64 cores", _seconds(sentences * r["scan"])
    for what in ("encode all", "encode sentences"):
        days = tokens / r[what] / _DAY
        yield f"{what}, days of a core; of 64", f"{days:,.0f}; {days / _CORES:,.1f}"
    yield "encode sentences on one GPU, hours", f"{tokens / r['GPU'] / 3600:,.1f}"
    yield "plan of a run that changes nothing, CPU s", f"{documents * r['plan']:,.0f}"
    for what in ("sentences float16, no words", "float16, words float16", "int8, words binary"):
        parts = stored[what] / _PART_BYTES
        yield f"part files of 256 MiB, {what}; CPU s to open", f"{parts:,.0f}; {parts * r['open']:,.1f}"


def _seconds(cpu: float) -> str:
    return f"{cpu:,.1f}; {cpu / _CORES:,.2f}"


def _number(n: float) -> str:
    return f"{n / 1e9:,.1f} G" if n >= 1e9 else f"{n / 1e6:,.1f} M"


def _bytes(n: float) -> str:
    return f"{n / 1e12:,.2f} TB" if n >= 1e12 else f"{n / _GB:,.1f} GB"


def main() -> None:
    """Print the rates and a table of what follows from them, as docs/performance.md has it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=float, nargs="+", default=[1e8, 1e9])
    chosen = parser.parse_args().sentences
    print("| rate | | measured by |\n|---|---:|---|")
    for rate in RATES.values():
        value = f"{rate.value:,.0f}" if rate.value >= 1000 else f"{rate.value:.4g}"
        print(f"| {rate.unit} | {value} | `{rate.command}` |")
    print(f"\n| sentences | {' | '.join(f'{n:,.0f}' for n in chosen)} |\n|---|{'---:|' * len(chosen)}")
    for rows in zip(*(computed(n) for n in chosen), strict=True):
        print(f"| {rows[0][0]} | {' | '.join(value for _, value in rows)} |")


if __name__ == "__main__":
    main()
