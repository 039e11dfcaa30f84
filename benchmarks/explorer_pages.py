"""How long the explorer takes: from the command to its first page, and for each page, asked for once and again.

    python -m benchmarks.explorer_pages LAKE [--word bank] [--repeat 3] [--json FILE]

*first* is the first time that a page of this kind is asked for, *other* the same kind of page of other documents and
words, *again* the same page once more. Each is the wall time until all bytes are there, the median of `--repeat`, and
then the CPU time of the server, which other processes of a busy machine do not change.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import httpx

Seconds: TypeAlias = tuple[float, float]
"""Of wall time, and of the server's CPU time."""

_KINDS = ("first", "other", "again")
_OTHERS = 5
_DOCUMENTS = "SELECT doc_id FROM documents ORDER BY hash(doc_id) LIMIT {}"
_WORDS = """
SELECT word_lower FROM words WHERE regexp_full_match(word_lower, '[a-z]{{4,}}')
GROUP BY word_lower HAVING count(*) BETWEEN 50 AND 2000 ORDER BY hash(word_lower) LIMIT {}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lake")
    parser.add_argument("--word", default="bank")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began = time.perf_counter()
    with explorer(options.lake) as (client, process):
        client.get("/").raise_for_status()
        start = time.perf_counter() - began
        rows = {"start": {"first": (start, cpu_seconds(process))}}
        for name, places in pages(client, options.word).items():
            rows[name] = measured(client, process, places, options.repeat)
    print(
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\nfrom the command to the first page: {start:.2f} s, "
        f"{rows['start']['first'][1]:.2f} CPU s\n"
    )
    print(f"{'page':<12}" + "".join(f"{kind:>9}{'CPU':>7}" for kind in _KINDS) + "   seconds")
    for name, row in list(rows.items())[1:]:
        print(f"{name:<12}" + "".join(f"{row[kind][0]:>9.3f}{row[kind][1]:>7.2f}" for kind in _KINDS))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


@contextmanager
def explorer(lake: str) -> Iterator[tuple[httpx.Client, int]]:
    """Start the explorer of a lake; a client of it, and the id of its process."""
    command = [sys.executable, "-m", "polyseme", "explore", "--lake", lake, "--port", "0", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            with httpx.Client(base_url=process.stdout.readline().strip(), timeout=600) as client:
                yield client, process.pid
        finally:
            process.terminate()


def pages(client: httpx.Client, word: str) -> dict[str, list[str]]:
    """Return the addresses of each kind of page: one, and others of the same kind."""

    def asked(sql: str) -> list[str]:
        rows = client.get("/sql.json", params={"q": sql}).raise_for_status().json()["rows"]
        return [quote(str(next(iter(row.values()))), safe="") for row in rows]

    ids, words = asked(_DOCUMENTS.format(_OTHERS + 1)), [word, *asked(_WORDS.format(_OTHERS))]
    return {
        "overview": ["/"],
        "documents": ["/documents", *(f"/documents?sort=longest&page={n}" for n in range(1, 4))],
        "document": [f"/document?id={doc_id}" for doc_id in ids],
        "word": [f"/word?w={name}" for name in words],
        "neighbours": [f"/word?w={name}&near=1" for name in words],
        "sense": [f"/sense?w={name}&n=1" for name in words],
        "sentence": [f"/sentence?doc={doc_id}&i=0" for doc_id in ids],
        "sql": ["/sql", *(f"/sql?q=FROM+sentences+LIMIT+{n}" for n in (5, 50))],
        "runs": ["/runs"],
        "rejects": ["/rejects"],
    }


def measured(client: httpx.Client, process: int, places: list[str], repeat: int) -> dict[str, Seconds]:
    """Return the seconds of the first page, of others of its kind, and of the first once more."""

    def seconds(place: str) -> Seconds:
        began, cpu = time.perf_counter(), cpu_seconds(process)
        answer = client.get(place)
        assert answer.status_code in (200, 404), f"{place}: {answer.status_code}"
        return time.perf_counter() - began, cpu_seconds(process) - cpu

    first = seconds(places[0])
    others = [seconds(place) for place in places[1:]] or [seconds(places[0])]
    again = [seconds(places[0]) for _ in range(repeat)]
    return {"first": first, "other": _median(others), "again": _median(again)}


def cpu_seconds(process: int) -> float:
    """Return the CPU time that a process has had, as Linux tells it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _median(found: list[Seconds]) -> Seconds:
    wall, cpu = zip(*found, strict=True)
    return statistics.median(wall), statistics.median(cpu)


if __name__ == "__main__":
    main()
