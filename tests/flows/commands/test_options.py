"""Options: each has help, the same in every command; a flag, the environment and polyseme.toml all reach it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts.argument import Argument

from polyseme.flows.cli import app
from polyseme.flows.commands.options.encoding import EncodingOptions, PartialEncodingOptions
from polyseme.flows.commands.options.lake import LakeOptions
from polyseme.flows.commands.options.outputs import OutputOptions, PartialOutputOptions
from polyseme.flows.commands.options.reading import FieldOptions, ReadingOptions
from polyseme.flows.commands.options.running import ReportOptions, RunnerOptions
from polyseme.flows.commands.options.training import CardOptions, ObjectiveOptions, ScratchOptions, TrainingOptions
from polyseme.storage.lake import Lake
from polyseme.storage.records import Outputs
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.reading.documents import MIB, ReadOptions
from tests.flows.test_cli import polyseme

COMMANDS = [name for name in app if not name.startswith("-")]
DIFFERENT = {
    "--at-least": "occurrences of a word that is listed, in both slices, or together",
    "--encoding": "backfill: what to encode as; compare: the first of two; export: what is taken",
    "--format": "sql shortens vectors; look-ups have none",
    "--out": "adapt: a checkpoint; export: a folder or a table",
    "--other": "compare: an encoding; else what is evaluated beside a model",
    "--against": "a condition; of compare also the word rest",
    "--exact": "search: every vector compared; duplicates: equal texts alone",
    "--export": "explore: pages as files; drift: uses of a word for annotators",
    "--title": "of the explorer's pages; of a report",
    "--from": "backfill: the encoding whose texts are taken; restore: a backup",
    "--by": "what documents are ranked by, or cut into slices by",
    "--dry-run": "vacuum lists files; the others count documents",
    "--k": "hits, occurrences of a sense, candidates for a mask",
    "--layers": "adapt: of a new network; else which layers a vector is taken from",
    "--level": "embed has a default; backfill leaves documents as they are",
    "--limit": "runs at a time, rows shown; else documents read",
    "--max-tokens": "of a pair of segments; else of a window",
    "--memory": "for sorting what is exported; for a query",
    "--model": "where to start, what encodes, where the lake's checkpoint is now",
    "--nsp": "embed has a default; backfill leaves documents as they are",
    "--pairs": "in a training step; of an evaluation",
    "--pll": "embed has a default; backfill leaves documents as they are",
    "--plot": "a map of senses, a curve of coherence",
    "--precision": "adapt: of training, never int8; else of an encoding",
    "--seed": "of training and evaluation; topics: of a search",
    "--text": "what to search for, to tokenize, to fill",
    "--timeout": "report asks several queries",
    "--word": "a filter of search; the subject of senses",
    "--words": "to store, to draw, or whether to search for words",
    "--yes": "vacuum removes unknown files too; drop-encoding removes the encoding",
}
"""Options of one name that mean different things, and why."""
EVERY_FLAG_OF_EMBED = """
embed a.txt - --lake l --catalog sqlite:////c --model m --device cpu --precision fp32 --context window --layers last4
--pooling mean --max-tokens 99 --name n --level tokens --words Bank,court --no-nsp --pll --pll-variant original
--lemma --text-field t --id-field i --title-field h --max-document-mb 2 --max-line-mb 3 --delimiter tab --quote none
--no-header --checksum --parse-seconds 9 --parse-mb 8 --limit 7 --keep-missing --runner dask --runner-workers 5
--strict -v"""


def options(command: str) -> Iterator[Argument]:
    """Yield the options and positional arguments of a command, those inside dataclasses included."""
    found = app[command].assemble_argument_collection(parse_docstring=True)
    return (argument for argument in found if not argument.children)


def bound(*words: str) -> dict[str, Any]:
    """Return the parameters that a command is called with."""
    _, arguments, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    arguments.apply_defaults()
    return dict(arguments.arguments)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help(command: str) -> None:
    assert [option.name for option in options(command) if not option.parameter.help] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_examples_that_can_be_run(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"Example: polyseme (.*)", app[command].default_command.__doc__ or "")
    assert examples
    for example in examples:
        words = shlex.split(example)
        assert words[0] == command
        assert bound(*words)
    assert "Example: polyseme" in polyseme(capfd, command, "--help")[1]


def test_an_option_has_the_same_help_in_every_command_unless_it_means_something_else() -> None:
    helps: dict[str, set[str]] = {}
    for command in COMMANDS:
        for option in options(command):
            for name in option.names:
                if name.startswith("--") and not name.startswith("--no-"):
                    helps.setdefault(name, set()).add(" ".join(str(option.parameter.help).split()))
    assert {name for name, texts in helps.items() if len(texts) > 1} == set(DIFFERENT)


def test_the_defaults_of_options_are_those_of_what_they_build() -> None:
    from polyseme.flows.runs.runners import Runner
    from polyseme.tasks.adaptation.request import Adaptation, Shape
    from polyseme.tasks.training.objective import ObjectiveConfig
    from polyseme.tasks.training.settings import TrainingConfig

    assert EncodingOptions().config() == PartialEncodingOptions().config() == EngineConfig()
    assert OutputOptions().outputs() == PartialOutputOptions().outputs() == Outputs()
    assert ReadingOptions().read_options() == FieldOptions().read_options() == ReadOptions()
    assert RunnerOptions().runner() == Runner()
    assert TrainingOptions(steps=1).config() == TrainingConfig(steps=1)
    assert ObjectiveOptions().config() == ObjectiveConfig()
    assert (ScratchOptions().shape(), ScratchOptions(scratch=True).shape()) == (None, Shape())
    plain = Adaptation(sources=["x"], out="y", training=TrainingConfig(steps=1))
    card = CardOptions()
    assert card == CardOptions(
        held_out=plain.held_out, evaluation_pairs=plain.evaluation_pairs, license=plain.license,
        data_note=plain.data_note,
    )  # fmt: skip


def test_every_flag_of_embed_arrives_where_it_belongs(home: Path) -> None:
    found = bound(*EVERY_FLAG_OF_EMBED.split())
    from polyseme.flows.runs.runners import Runner

    assert found["sources"] == ("a.txt", "-")
    assert found["lake"].lake() == Lake("l", "sqlite:////c")
    assert found["encoding"].config() == EngineConfig(
        model="m", device="cpu", precision="fp32", context="window", layers="last4", pooling="mean", max_tokens=99
    )
    words = frozenset({"bank", "court"})
    assert found["outputs"].outputs() == Outputs("tokens", words, nsp=False, pll="original", lemma=True)
    assert found["reading"].read_options() == ReadOptions(
        text_field="t", id_field="i", title_field="h", max_document_bytes=2 * MIB, max_line_bytes=3 * MIB,
        delimiter="tab", quote="none", header=False, parse_seconds=9, parse_mb=8,
        checksum=True,
    )  # fmt: skip
    assert found["runner"].runner() == Runner(kind="dask", workers=5)
    assert (found["name"], found["limit"], found["keep_missing"], found["strict"]) == ("n", 7, True, True)
    assert found["report"] == ReportOptions(json=False, verbose=True)


def test_settings_that_backfill_was_not_given_stay_open(home: Path) -> None:
    found = bound("backfill", "--max-tokens", "99", "--words", "bank")
    assert found["settings"].settings() == {"max_tokens": 99}
    had = Outputs("tokens", None, nsp=False, pll="original")
    assert found["outputs"].outputs(had) == Outputs("words", frozenset({"bank"}), nsp=False, pll="original")
    assert bound("backfill")["outputs"].outputs(had) == had


def test_a_flag_beats_the_environment_which_beats_the_table_of_a_command_which_beats_the_top_of_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "polyseme.toml").write_text(
        'lake = "top"\ncatalog = "sqlite:////top"\nmodel = "top"\n'
        '[embed]\nmodel = "table"\nmax-tokens = 33\nmax_line_mb = 4\nnsp = false\nrunner = "ray"\n[status]\nruns = 2\n'
    )
    found = bound("embed", "x")
    assert found["lake"] == LakeOptions(root=str(home / "top"), catalog="sqlite:////top")
    assert found["encoding"] == EncodingOptions(model="table", max_tokens=33)
    assert found["reading"] == ReadingOptions(max_line_mb=4)
    assert (found["outputs"], found["runner"]) == (OutputOptions(nsp=False), RunnerOptions(kind="ray"))
    assert bound("status")["lake"] == found["lake"]
    assert bound("nsp", "A.", "B.")["model"].model == bound("backfill")["settings"].model == "top"

    for name, value in (("LAKE", "env"), ("MODEL", "env"), ("MAX_TOKENS", "44"), ("NSP", "true"), ("RUNNER", "dask")):
        monkeypatch.setenv(f"POLYSEME_{name}", value)
    found = bound("embed", "x", "--lake", "flag", "--runner", "threads")
    assert found["lake"] == LakeOptions(root="flag", catalog="sqlite:////top")
    assert found["encoding"] == EncodingOptions(model="env", max_tokens=44)
    assert (found["outputs"], found["runner"]) == (OutputOptions(nsp=True), RunnerOptions())
    assert bound("status")["lake"].root == "env"


def test_a_layer_may_be_a_number_in_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "polyseme.toml").write_text("[embed]\nlayers = 5\n[backfill]\nlayers = 'mean:3-6'\n")
    assert bound("embed", "x")["encoding"].config() == EngineConfig(layers="5")
    assert bound("backfill")["settings"].settings() == {"layers": "mean:3-6"}
    monkeypatch.setenv("POLYSEME_LAYERS", "0")
    assert bound("embed", "x")["encoding"].config() == EngineConfig(layers="0")


@pytest.mark.parametrize("key", ["root", "kind", "levle", "reading"])
def test_a_key_that_is_no_option_is_refused_even_if_a_field_has_its_name(
    home: Path, key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "polyseme.toml").write_text(f'[embed]\n{key} = "x"\n')
    code, _, err = polyseme(capfd, "embed", "x")
    assert code != 0
    assert f"[{key}]" in err
