"""All measurements on a GPU, in one run of less than eight minutes: `python -m benchmarks.gpu`.

Needs PyTorch, safetensors and tokenizers, not Prefect; a part that needs another package is skipped without it.
`--device cpu --tiny` runs every part at toy size, to test the script without a GPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_encoder import correctness, likelihood, matrix_rate, memory, pairs, utilisation
from benchmarks.gpu_peers import mixed_lengths
from benchmarks.gpu_rates import next_sentence, rates
from benchmarks.gpu_runs import pipeline, training
from benchmarks.gpu_setting import Figure, NotMeasured, Setting
from polyseme.storage.errors import PolysemeError
from polyseme.tasks.model.batch_pool import cores
from polyseme.tasks.model.devices import resolve_device

Part = Callable[[Setting], Iterator[Figure]]
PARTS: Mapping[str, tuple[str, Part]] = {
    "matrix": ("What the machine multiplies", matrix_rate),
    "utilisation": ("The encoder on windows of 512 tokens", utilisation),
    "rates": ("The encoder by length and by token budget", rates),
    "correctness": ("Vectors against the CPU's, and alone against in a batch", correctness),
    "mixed": ("Sentences of natural lengths, against others", mixed_lengths),
    "pipeline": ("Documents to sentence vectors in Parquet", pipeline),
    "nsp": ("Next Sentence Prediction", next_sentence),
    "pairs": ("NSP and vectors in one pass", pairs),
    "memory": ("Token budget, and halving when memory is full", memory),
    "likelihood": ("Pseudo-log-likelihood", likelihood),
    "training": ("Training: MLM + NSP, the embedded model", training),
}
SECONDS = 30.0
"""Approximate seconds per part: with models and peers to load, eleven parts take less than eight minutes."""
EXIT_NO_DEVICE = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts given, print them as a table, and write JSON if asked to. Returns the exit code."""
    options = _options(arguments)
    logging.basicConfig(level=logging.ERROR)
    try:
        device, precision = resolve_device(options.device, "auto")
    except PolysemeError as error:
        print(f"{error} Nothing was measured.", file=sys.stderr)
        return EXIT_NO_DEVICE
    result: dict[str, Any] = {"machine": machine(device), "precision": precision, "parts": {}}
    _print(json.dumps(result["machine"]))
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="polyseme-gpu-") as folder:
        setting = Setting(device, precision, options.tiny, options.seconds, Path(folder))
        for name in options.parts:
            title, part = PARTS[name]
            _print(f"\n{title}")
            result["parts"][name] = measured(part, setting)
            if options.json:  # after every part, so that results are kept if the machine is lost
                options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    result["seconds"] = round(time.perf_counter() - begun, 1)
    _print(f"\n{result['seconds']} seconds in all")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return int(any("failed" in part for part in result["parts"].values()))


def measured(
    part: Part, setting: Setting, on_figure: Callable[[dict[str, Any]], None] = lambda found: None
) -> dict[str, Any]:
    """Run one part and print its figures as they come. An error is printed and ends this part only.

    `on_figure` is called after each figure with all of the part so far.
    """
    found: dict[str, Any] = {"figures": []}
    begun = time.perf_counter()
    try:
        for figure in part(setting):
            found["figures"].append(asdict(figure) | {"holds": figure.holds})
            _print(_line(figure))
            on_figure(found)
    except NotMeasured as reason:
        found["not measured"] = str(reason)
    except ModuleNotFoundError as error:
        found["not measured"] = f"needs the package {error.name}, which is not installed here"
    except Exception as error:
        logging.getLogger(__name__).exception("This part failed")
        found["failed"] = f"{type(error).__name__}: {error}"
    for kind in ("not measured", "failed"):
        if kind in found:
            _print(f"  {kind}: {found[kind]}")
    found["seconds"] = round(time.perf_counter() - begun, 1)
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()
    return found


def _line(figure: Figure) -> str:
    bound = "" if figure.at_least is None else f"at least {figure.at_least:g}"
    bound = bound if figure.at_most is None else f"at most {figure.at_most:g}"
    verdict = {None: "", True: f"   ({bound}: yes)", False: f"   ({bound}: NO)"}[figure.holds]
    return f"  {figure.what:70} {figure.value:14,.5g} {figure.unit}{verdict}"


def machine(device: torch.device) -> dict[str, str]:
    """Return what the figures depend on: system, versions and device."""
    found = {"system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"}
    found |= {"torch": str(torch.__version__), "threads": str(cores()), "device": device.type}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, capability "
            f"{properties.major}.{properties.minor}",
            "cuda": str(torch.version.cuda),
        }
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cuda", "mps", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to test the script; the figures mean nothing")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"approximate seconds per part (default {SECONDS:g})"
    )
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every figure, after each part")
    return parser.parse_args(arguments)


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
