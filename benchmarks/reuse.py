"""Reuse on a real history: a repository's documentation, embedded commit by commit into one lake.

    python -m benchmarks.reuse --repo click --docs docs --commits 300 --context sentence

The first commit fills the lake; what the later ones change is counted and timed, in turn before and after encoding the
same documents whole into a second lake. Every tenth commit the lake must have the rows of a lake made from that commit
alone, compared with EXCEPT ALL: all tables but times, versions and the random baseline, of which every row that can
still be traced is scored again. Any local clone or bare repository will do. With `--model tiny`, a random network of
one layer with the embedded model's tokenizer, what is run and what is compared are the same, in minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.machine import describe
from polyseme.storage.catalog import Catalog
from polyseme.storage.lake import Lake
from polyseme.storage.records import Counts, Document, Outputs
from polyseme.storage.sql.connection import connect
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.checkpoint import EMBEDDED, find
from polyseme.tasks.reading.normalization import is_blank, normalise
from polyseme.tasks.shards.scan import Scan
from polyseme.tasks.shards.stages import commit_shard, encode_shard
from polyseme.tasks.text.windows import SentencePairs, pair_windows

SUFFIXES = (".md", ".rst", ".txt")
COMPARED = {
    "documents": "SELECT * EXCLUDE (version, ingested_at) FROM documents",
    "sentences": "FROM sentences",
    "words": "FROM words",
    "tokens": "FROM tokens",
    "transitions": "FROM transitions WHERE kind = 'adjacent'",
}
BASELINE = """
SELECT s.text, n.text, t.nsp_logit_is_next, t.nsp_logit_not_next, t.doc_id = t.next_doc_id OR d.version = 1
FROM transitions t JOIN sentences s USING (doc_id, sentence_index)
JOIN sentences n ON n.doc_id = t.next_doc_id AND n.sentence_index = t.next_sentence_index
JOIN documents d ON d.doc_id = t.next_doc_id WHERE t.kind = 'random'"""
"""The last column: whether the second sentence is certainly the one that was scored."""


@dataclass(slots=True)
class Measured:
    """What the replayed commits came to. `tokens` are those of changed documents, `run` those that the model was given.

    `whole_run` is the same for encoding the changed documents whole; seconds are CPU seconds of the process.
    """

    commits: int = 0
    changed: int = 0
    new: int = 0
    tokens: int = 0
    run: int = 0
    whole_run: int = 0
    sentences: int = 0
    reused_sentences: int = 0
    seconds: float = 0.0
    whole_seconds: float = 0.0
    lookup_seconds: float = 0.0
    bytes: int = 0
    compared: int = 0
    differing: int = 0
    baseline_checked: int = 0
    baseline_wrong: int = 0
    times: list[float] = field(default_factory=list)


class GrowingLake:
    """A lake that follows a history: each step is a run."""

    def __init__(self, root: Path, engine: Engine, outputs: Outputs, *, reuse: bool = True) -> None:
        self.root, self._engine, self._outputs, self._reuse = root, engine, outputs, reuse
        self._runs = 0

    def embed(self, documents: Sequence[Document]) -> Counts:
        """Embed those of the documents that are new or changed."""
        lake, encoding_id = Lake(self.root), self._engine.spec.encoding_id
        with Catalog.create_or_open(lake) as catalog:
            catalog.register_encoding(self._engine.spec)
            self._runs += 1
            version = catalog.begin_run(f"run{self._runs}", encoding_id, [])
            scan = Scan(catalog, lake, f"run{self._runs}", version, encoding_id, self._outputs)
            try:
                counts = Counts()
                for shard in list(scan.shards(documents)):
                    result = encode_shard(shard, lake, catalog, self._engine, reuse=self._reuse)
                    counts += commit_shard(result, catalog)
                return counts
            finally:
                scan.close()

    def delete(self, doc_ids: Sequence[str]) -> None:
        """Hide documents that are gone."""
        if doc_ids:
            with Catalog.open(Lake(self.root)) as catalog:
                self._runs += 1
                encoding_id = self._engine.spec.encoding_id
                version = catalog.begin_run(f"run{self._runs}", encoding_id, [])
                catalog.delete_documents(encoding_id, doc_ids, version=version)


def main(arguments: Sequence[str] | None = None) -> None:
    """Replay, print what it came to, and fail if a lake differs."""
    options = _options(arguments)
    outputs = Outputs(options.level, None, not options.no_nsp)
    with tempfile.TemporaryDirectory(prefix="polyseme-benchmark-") as folder:
        model = str(_tiny(Path(folder) / "tiny")) if options.model == "tiny" else options.model
        engine = Engine(EngineConfig(model=model, device="cpu", context=options.context))
        engine.in_lane(lambda encoder: encoder.label)
        measured = replay(options, engine, outputs, Path(folder))
    _print(measured, options)
    if options.json:
        options.json.write_text(json.dumps({"machine": describe(), **asdict(measured)}, indent=2) + "\n", "utf-8")
    if measured.differing or measured.baseline_wrong:
        sys.exit(f"{measured.differing} tables and {measured.baseline_wrong} random pairs differ")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", required=True, help="a local clone or bare repository")
    parser.add_argument("--docs", default="docs", help="the folder of its documentation")
    parser.add_argument("--commits", type=int, default=100, help="the last so many commits that change the folder")
    parser.add_argument("--context", choices=("sentence", "window", "pair"), default="sentence")
    parser.add_argument("--level", choices=("sentences", "words", "tokens"), default="words")
    parser.add_argument("--no-nsp", action="store_true")
    parser.add_argument("--model", default=EMBEDDED, help="a checkpoint, or tiny")
    parser.add_argument("--compare", type=int, default=10, help="compare with a fresh lake every so many commits")
    parser.add_argument("--no-whole", action="store_true", help="do not encode changed documents whole for comparison")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def _tiny(folder: Path) -> Path:
    """Save a random network that takes no time, and return its folder."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    embedded = find(EMBEDDED).folder
    torch.manual_seed(0)
    vocabulary = len(json.loads((embedded / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    config = BertConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertForPreTraining(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((embedded / name).read_bytes())
    return folder


def replay(options: argparse.Namespace, engine: Engine, outputs: Outputs, folder: Path) -> Measured:
    """Embed the commits in order, one run each, and compare on the way."""
    lake = GrowingLake(folder / "lake", engine, outputs)
    whole = None if options.no_whole else GrowingLake(folder / "whole", engine, outputs, reuse=False)
    measured, before = Measured(), dict[str, Document]()
    for number, documents in enumerate(history(options.repo, options.docs, options.commits)):
        now = {document.doc_id: document for document in documents}
        changed = [d for d in documents if d.doc_id in before and before[d.doc_id].text != d.text]
        new = [d for d in documents if d.doc_id not in before]
        if before and changed:
            measured.commits += 1
            measured.changed += len(changed)
            turns = (False, True) if number % 2 else (True, False)
            for is_whole in turns if whole else (False,):
                began = time.process_time()
                counts = (whole if is_whole and whole else lake).embed(changed)
                _add(measured, counts, time.process_time() - began, is_whole=is_whole)
        measured.new += len(new) if before else 0
        for each in (lake, whole):
            if each is not None:
                each.embed(new)
                each.delete([doc_id for doc_id in before if doc_id not in now])
        before = now
        if options.compare and number and number % options.compare == 0:
            fresh = GrowingLake(folder / f"fresh{number}", engine, outputs)
            fresh.embed(documents)
            _compare(measured, lake, fresh, engine if outputs.nsp else None)
    return measured


def _add(measured: Measured, counts: Counts, seconds: float, *, is_whole: bool) -> None:
    if is_whole:
        measured.whole_seconds += seconds
        measured.whole_run += counts.forward_tokens
        return
    measured.seconds += seconds
    measured.times.append(seconds)
    measured.lookup_seconds += counts.seconds.get("reuse", 0.0)
    measured.tokens += counts.tokens
    measured.run += counts.forward_tokens
    measured.sentences += counts.sentences
    measured.reused_sentences += counts.reused_sentences
    measured.bytes += counts.bytes


def history(repo: str, docs: str, commits: int) -> Iterator[list[Document]]:
    """Yield the documents of each of the last commits that change the folder, oldest first, those of merges as one."""
    listed = _git(repo, "log", "--first-parent", f"-{commits + 1}", "--format=%H", "--", docs).decode().split()
    for commit in reversed(listed):
        yield list(_documents(repo, docs, commit))


def _documents(repo: str, docs: str, commit: str) -> Iterator[Document]:
    names = _git(repo, "ls-tree", "-r", "-z", "--name-only", commit, "--", docs).decode("utf-8", "replace").split("\0")
    for name in sorted(names):
        if name.endswith(SUFFIXES):
            text = normalise(_git(repo, "show", f"{commit}:{name}").decode("utf-8", "replace"))
            if not is_blank(text):
                yield Document(name, f"file:///{name}", text)


def _git(repo: str, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", repo, *arguments], check=True, capture_output=True).stdout


def _compare(measured: Measured, lake: GrowingLake, fresh: GrowingLake, engine: Engine | None) -> None:
    """Count the tables in which the lake has other rows than a fresh one, and wrong rows of the random baseline."""
    with connect(lake.root) as con, connect(fresh.root) as other:
        for name, sql in COMPARED.items():
            found: pa.Table = other.sql(sql).to_arrow_table()
            con.register("expected", found)
            for one, two in (("FROM expected", sql), (sql, "FROM expected")):
                ((count,),) = con.execute(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({two}))").fetchall()
                if count:
                    measured.differing += 1
                    print(f"{fresh.root.name}: {count} rows of {name} differ", file=sys.stderr)
            con.unregister("expected")
        measured.compared += 1
        if engine is not None:
            _check_baseline(measured, con.execute(BASELINE).fetchall(), engine)


def _check_baseline(measured: Measured, rows: Sequence[tuple[str, str, float, float, bool]], engine: Engine) -> None:
    """Score the pairs again whose sentences are certainly those that were scored, and count those that differ."""
    rows = [row for row in rows if row[4]]
    sentences = [engine.wordpiece.tokenize_prompt(text) for row in rows for text in row[:2]]
    if not sentences:
        return
    lengths = np.array([len(sentence) for sentence in sentences])
    ptr = np.append(0, np.cumsum(lengths)).astype(np.int64)
    ids = np.concatenate([np.asarray(sentence, np.int32) for sentence in sentences])
    first = np.arange(0, len(sentences), 2)
    windows, _ = pair_windows(ptr, SentencePairs(first, first + 1), engine.spec.max_tokens, engine.frame)
    logits = engine.in_lane(lambda encoder: encoder.score_pairs(ids, windows))
    expected = np.array([row[2:4] for row in rows], np.float32)
    measured.baseline_checked += len(rows)
    measured.baseline_wrong += int((logits[:, :2] != expected).any(axis=1).sum())


def _print(measured: Measured, options: argparse.Namespace) -> None:
    tokens = max(1, measured.tokens)
    print(f"{options.docs}, context {options.context}, level {options.level}, NSP {not options.no_nsp}")
    print(f"  commits {measured.commits:,}, changed documents {measured.changed:,}, new documents {measured.new:,}")
    print(f"  tokens of changed documents {measured.tokens:,}, run {measured.run:,}: {measured.run / tokens:.1%}")
    print(f"  sentences {measured.sentences:,}, of which reused {measured.reused_sentences:,}")
    print(f"  CPU seconds {measured.seconds:.1f}, of which looking up {measured.lookup_seconds:.1f} (wall)")
    if measured.whole_seconds:
        print(
            f"  encoded whole: {measured.whole_run:,} tokens run, {measured.whole_seconds:.1f} CPU seconds; "
            f"reuse runs {measured.run / max(1, measured.whole_run):.1%} in "
            f"{measured.seconds / measured.whole_seconds:.1%} of the time"
        )
    print(f"  bytes written {measured.bytes:,}")
    print(
        f"  compared with {measured.compared} fresh lakes: {measured.differing} tables differ; random pairs scored "
        f"again {measured.baseline_checked:,}, {measured.baseline_wrong} differ"
    )


if __name__ == "__main__":
    main()
