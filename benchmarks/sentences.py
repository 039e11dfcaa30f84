"""Sentence splitters on gold text: the span F1 of each, on the running text of CoNLL-U treebanks.

    python -m benchmarks.sentences en_ewt-ud-dev.conllu de_gsd-ud-dev.conllu

Text is rebuilt as it was: `# newdoc` begins a document, `# newpar` a paragraph after a blank line, and sentences are
joined by a space unless the treebank says that none was there. Files in which every sentence is a document of its own
are joined too: there would be nothing to find. A sentence counts if both of its ends are found. The language is the
start of a file's name. A splitter that is not installed (`pip install sentencex pysbd`) is left out.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from polyseme.tasks.text.splitting import punkt, rules

Span: TypeAlias = tuple[int, int]
Splitter: TypeAlias = Callable[[str, str], Iterable[Span]]
"""A text and its language to half-open spans, which may have whitespace at their ends."""

_RULE = re.compile(r"[.!?…]+[\"'”’»)\]]*\s+(?=[\"'“‘«(\[]*[^\Wa-z])|[。！？।؟۔։]+[”’»」』]*|\n\s*\n")


@dataclass(frozen=True)
class Gold:
    """A document and its sentences."""

    text: str
    spans: list[Span]


def main() -> None:
    """Print a row for each treebank and a column for each splitter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("treebanks", nargs="+", type=Path)
    parser.add_argument("--splitters", default="", help="names of columns, with commas (default: all)")
    options = parser.parse_args()
    chosen = {n: s for n, s in splitters().items() if not options.splitters or n in options.splitters.split(",")}
    print(f"{'':24}{'sentences':>10}", *(f"{name:>10}" for name in chosen))
    seconds = dict.fromkeys(chosen, 0.0)
    chars = 0
    for path in options.treebanks:
        documents, language = gold(path.read_text("utf-8")), path.name.partition("_")[0]
        row = []
        for name, splitter in chosen.items():
            began = time.process_time()
            found = [set(stripped(document.text, splitter(document.text, language))) for document in documents]
            seconds[name] += time.process_time() - began
            row.append(span_f1(documents, found))
        chars += sum(len(document.text) for document in documents)
        count = sum(len(document.spans) for document in documents)
        print(f"{path.stem[:24]:24}{count:10}", *(f"{f1:10.3f}" for f1 in row), flush=True)
    rates = (f"{chars / 1e6 / max(spent, 1e-9):10.1f}" for spent in seconds.values())
    print(f"{'characters/s, millions':34}", *rates)


def gold(conllu: str) -> list[Gold]:
    """Return the documents of a CoNLL-U file."""
    read = list(_sentences(conllu))
    alone = sum(document for document, *_ in read) == len(read)
    found, text, spans = list[Gold](), "", list[Span]()
    space = ""
    for new_document, new_paragraph, sentence, spaced in read:
        if new_document and not alone and spans:
            found.append(Gold(text, spans))
            text, spans = "", []
        elif spans:
            text += "\n\n" if new_paragraph else space
        spans.append((len(text), len(text) + len(sentence)))
        text += sentence
        space = " " if spaced else ""
    return [*found, Gold(text, spans)]


def _sentences(conllu: str) -> Iterator[tuple[bool, bool, str, bool]]:
    """Yield (begins a document, begins a paragraph, text, a space follows) for each sentence."""
    for block in re.split(r"\n\s*\n", conllu):
        lines = block.splitlines()
        text = next((line[8:].strip() for line in lines if line.startswith("# text =")), "")
        if text:
            document = any(line.startswith("# newdoc") for line in lines)
            paragraph = any(line.startswith("# newpar") for line in lines)
            yield document, paragraph, text, "SpaceAfter=No" not in lines[-1]


def span_f1(documents: Sequence[Gold], found: Sequence[set[Span]]) -> float:
    """Return the harmonic mean of precision and recall over all sentences."""
    right = sum(len(spans & set(document.spans)) for document, spans in zip(documents, found, strict=True))
    return 2 * right / (sum(map(len, found)) + sum(len(document.spans) for document in documents))


def stripped(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans without whitespace at their ends, those of whitespace left out."""
    for start, stop in spans:
        part = text[start:stop]
        begin = start + len(part) - len(part.lstrip())
        if part.strip():
            yield begin, begin + len(part.strip())


def splitters() -> dict[str, Splitter]:
    """Return the splitters to compare, by the name of their column; ours is last."""
    found: dict[str, Splitter] = {"rule": by_rule, "nupunkt": nupunkt}
    if find_spec("sentencex"):
        found["sentencex"] = sentencex
    if find_spec("pysbd"):
        found["pysbd"] = pysbd
    return found | {"old": old, "polyseme": polyseme}


def old(text: str, language: str) -> Iterator[Span]:
    """Split by the splitter of encodings made before there were rules."""
    return ((sentence.start, sentence.stop) for sentence in punkt.sentences(text))


def polyseme(text: str, language: str) -> Iterator[Span]:
    """Split by Polyseme's own splitter."""
    return ((sentence.start, sentence.stop) for sentence in rules.sentences(text, language))


def by_rule(text: str, language: str) -> Iterator[Span]:
    """Split after a stop before anything that is not a lower-case letter."""
    start = 0
    for match in _RULE.finditer(text):
        yield start, match.end()
        start = match.end()
    yield start, len(text)


def nupunkt(text: str, language: str) -> Iterable[Span]:
    """Split by the default model of nupunkt."""
    from nupunkt import sent_spans

    return list(sent_spans(text))


def sentencex(text: str, language: str) -> Iterator[Span]:
    """Split by sentencex, with its rules for the language."""
    from sentencex import segment

    return located(text, segment(language, text))


def pysbd(text: str, language: str) -> Iterator[Span]:
    """Split by pysbd, with its rules for the language or else for English, a paragraph at a time: it is slow."""
    from pysbd import Segmenter
    from pysbd.languages import LANGUAGE_CODES

    segmenter = Segmenter(language=language if language in LANGUAGE_CODES else "en", clean=False)
    begin = 0
    for paragraph in re.split(r"(?<=\n\n)", text):
        yield from ((begin + a, begin + b) for a, b in located(paragraph, segmenter.segment(paragraph)))
        begin += len(paragraph)


def located(text: str, parts: Iterable[str]) -> Iterator[Span]:
    """Yield where each part of a text stands; a part that was changed is skipped."""
    at = 0
    for part in map(str.strip, parts):
        if part and (start := text.find(part, at)) >= 0:
            at = start + len(part)
            yield start, at


if __name__ == "__main__":
    main()
