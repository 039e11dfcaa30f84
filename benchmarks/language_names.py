"""How often the language of a text is found: the figures of docs/sentences.md on `--language auto`.

Run: `python -m benchmarks.language_names uk_iu-ud-test.conllu …` with files of Universal Dependencies treebanks, whose
names begin with the language. Prints the share of texts of so many sentences in a row (`--sentences`, 5) that are named
rightly, as nothing, and as other languages.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from benchmarks.languages import sentences
from polyseme.tasks.text.language import language_of


def main() -> None:
    """Print a row for each treebank."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("treebanks", nargs="+", type=Path)
    parser.add_argument("--sentences", type=int, default=5)
    asked = parser.parse_args()
    print(f"{'':24}{'texts':>8}{'right':>8}{'none':>8}  others")
    for path in asked.treebanks:
        found = names(list(sentences(path)), asked.sentences)
        if not found:
            continue
        count, right = found.total(), found.pop(path.name.partition("_")[0], 0)
        none = found.pop("", 0)
        others = ", ".join(f"{code} {number / count:.3f}" for code, number in found.most_common(4))
        print(f"{path.stem[:24]:24}{count:8}{right / count:8.2f}{none / count:8.2f}  {others}", flush=True)


def names(texts: list[str], size: int) -> Counter[str]:
    """Return how often each language is found in texts of `size` sentences."""
    return Counter(language_of(" ".join(texts[at : at + size])) for at in range(0, len(texts), size))


if __name__ == "__main__":
    main()
