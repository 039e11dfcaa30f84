"""The check before a session: is everything there, and do a bf16 forward pass and a training step work on the device?

Everything is tried even if something is wrong, so that one call to the machine finds all of it.
"""

from __future__ import annotations

import json
import logging
import lzma
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import machine
from benchmarks.gpu_session_plan import TRAIN, Plan
from benchmarks.gpu_setting import Setting
from polyseme.tasks.model.checkpoint import EMBEDDED, find
from polyseme.tasks.model.devices import resolve_device
from polyseme.tasks.text.windows import sentence_windows

Found = Callable[[dict[str, Any]], None]
_VERSIONS = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pyarrow")
_CARRIED = {"orjson": "pipeline and training", "sqlalchemy": "pipeline"}
"""Small packages that a bare machine lacks, and the parts that are not measured without them."""
_TO_TRAIN = ("orjson", "transformers")
_FREE_GIB, _FREE_TINY_GIB = 4.0, 0.5
"""Free disk for prepared text, two checkpoints with the optimizer's state, and the model in pieces."""
_LEAST_COSINE = 0.999


class Wrong(Exception):
    """Something that the session needs is not as it should be; the message says what and what to do."""


def checked(plan: Plan, scratch: Path, on_check: Found) -> dict[str, Any]:
    """Run all checks and print a line on each; `failed` in the result names those that failed."""
    found: dict[str, Any] = {"checks": []}
    wrong = []
    for name, check in _checks(plan, scratch).items():
        try:
            detail, well = check(), True
        except Exception as error:
            logging.getLogger(__name__).exception("The check of the %s failed", name)
            detail, well = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}", False
            wrong.append(name)
        print(f"  {name}: {'' if well else 'WRONG: '}{detail}", flush=True)
        found["checks"].append({"what": name, "well": well, "detail": detail})
        on_check(found)
    return found | ({"failed": ", ".join(wrong)} if wrong else {})


def _checks(plan: Plan, scratch: Path) -> dict[str, Callable[[], str]]:
    checks = {
        "device": lambda: _device(plan),
        "packages": lambda: _packages(plan),
        "disk": lambda: _disk(plan),
        "forward pass": lambda: _forward(_toy(plan, scratch / "forward")),
        "training step": lambda: _training_step(_toy(plan, scratch / "step")),
    }
    if TRAIN in plan.parts:
        checks |= {
            "model": lambda: _model(plan),
            "text": lambda: _text(plan),
            "options": lambda: _options(plan, scratch / "options"),
        }
    return checks


def _device(plan: Plan) -> str:
    device, precision = resolve_device(plan.device, "auto")  # type: ignore[arg-type]
    return f"{machine(device)}, {precision}"


def _packages(plan: Plan) -> str:
    versions = ", ".join(f"{name} {_version(name)}" for name in (*_VERSIONS, *_CARRIED, "sentence-transformers"))
    missing = {name for name in (*_CARRIED, "transformers") if find_spec(name) is None}
    if TRAIN in plan.parts and (lacking := missing.intersection(_TO_TRAIN)):
        raise Wrong(f"training needs {', '.join(sorted(lacking))}: put their wheels into --wheels. There: {versions}")
    without = {part for name, part in _CARRIED.items() if name in missing}
    return versions + (f"; not measured: {' and '.join(sorted(without))}" if without else "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _disk(plan: Plan) -> str:
    least = _FREE_TINY_GIB if plan.tiny else _FREE_GIB
    free = {folder: shutil.disk_usage(folder).free / 2**30 for folder in (plan.work, plan.out)}
    for folder, there in free.items():
        if there < least:
            raise Wrong(f"{folder} has {there:.1f} GiB free, {least:g} are needed. Name another --work or --out.")
    return ", ".join(f"{there:.0f} GiB free in {folder}" for folder, there in free.items())


def _toy(plan: Plan, folder: Path) -> Setting:
    """Return a random model of toy size on the session's device, with the tokenizer of the session's model."""
    folder.mkdir()
    device, precision = resolve_device(plan.device, "auto")  # type: ignore[arg-type]
    return Setting(
        device, precision, tiny=True, seconds=1, folder=folder, tokenizer=find(plan.model or EMBEDDED).folder
    )


def _forward(setting: Setting) -> str:
    """Compare bf16 and float32 vectors of the device with the CPU's."""
    text = setting.tokenized(["The river left its bank.", "The robbers emptied the bank vault at night."])
    windows = sentence_windows(text.sentence_ptr, range(2), 64, setting.frame)
    truth = setting.new_encoder(torch.device("cpu"), "fp32").encode(text.ids, windows, sentences=2).tokens
    found = {}
    for precision in ("bf16", "fp32"):
        tokens = setting.new_encoder(setting.device, precision).encode(text.ids, windows, sentences=2).tokens
        a, b = (torch.from_numpy(np.asarray(x, np.float64)) for x in (tokens, truth))
        found[precision] = float(torch.cosine_similarity(a, b).min())
    line = ", ".join(f"{precision} {cosine:.6f}" for precision, cosine in found.items())
    if not min(found.values()) >= _LEAST_COSINE:
        raise Wrong(f"vectors differ from the CPU's; least cosine: {line}")
    return f"least cosine with the CPU's: {line}"


def _training_step(setting: Setting) -> str:
    """Train two steps on random text and write a checkpoint."""
    from polyseme.tasks.training.corpus import TrainingText
    from polyseme.tasks.training.network import start_from
    from polyseme.tasks.training.objective import Objective, ObjectiveConfig
    from polyseme.tasks.training.settings import TrainingConfig
    from polyseme.tasks.training.trainer import Trainer

    sentences, length = 64, 8
    ids = np.random.default_rng(0).integers(5, setting.wordpiece.vocab_size, sentences * length).astype(np.int32)
    text = TrainingText(
        ids=ids, begins=np.ones(len(ids), bool), sentence_ptr=np.arange(0, len(ids) + 1, length),
        paragraph=np.arange(sentences) // 8, document=np.arange(sentences) // 16,
    )  # fmt: skip
    objective = Objective(text, setting.wordpiece, ObjectiveConfig(max_tokens=64), pairs=8)
    config = TrainingConfig(steps=2, pairs=8, micro=4)
    model = start_from(setting.checkpoint, seed=0).model
    trainer = Trainer(model, objective, config, setting.folder / "run", setting.device, setting.precision)
    losses = [f"{log.mlm:.2f}" for log in trainer.run().log]
    return f"MLM losses {', '.join(losses)}"


def _model(plan: Plan) -> str:
    checkpoint = find(plan.train_options.get("model") or plan.model or EMBEDDED)
    if not (checkpoint.folder / "model.safetensors").is_file():
        raise Wrong(f"{checkpoint.folder} has no model.safetensors. Name the model with --model.")
    return f"{checkpoint.folder}, hidden size {checkpoint.width}"


def _options(plan: Plan, folder: Path) -> str:
    """Prepare a run with the options up to its first step, with the models that they name, on a toy text."""
    from benchmarks.gpu_session_training import request  # needs orjson
    from polyseme.tasks.adaptation.workspace import open_workspace
    from polyseme.tasks.reading.documents import ReadOptions

    asked = request(plan, list(plan.texts) or ["text"], minutes=1.0)
    folder.mkdir()
    text = folder / "text.jsonl"
    document = json.dumps({"text": "The bank of the river was wet. A crane stood on it. Nobody saw it leave."})
    text.write_text(f"{document}\n" * 8, "utf-8")
    toy = replace(asked, sources=[str(text)], out=str(folder / "model"), reading=ReadOptions(), limit=None)
    with open_workspace(toy) as workspace:
        workspace.prepare()
        workspace.trainer()
    return str(asked)


def _text(plan: Plan) -> str:
    if not plan.texts:
        raise Wrong("no text to train on. Name it with --text.")
    return ", ".join(_first_line(Path(path)) for path in plan.texts)


def _first_line(path: Path) -> str:
    with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
        if not file.readline(2**20).strip():
            raise Wrong(f"{path} begins with an empty line, or is empty.")
    return f"{path.name}, {path.stat().st_size / 2**20:.1f} MiB"
