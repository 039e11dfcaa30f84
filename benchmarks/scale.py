"""How time and memory grow with a corpus, a long document, many short ones, unchanged ones, parts and encodings.

    python -m benchmarks.scale                                  all of it, about 12 minutes on two cores
    python -m benchmarks.scale long short --scale 0.02          a small run of two parts
    python -m benchmarks.scale size --documents FILE.jsonl      real text

Every point is a `polyseme` command in a process of its own, as a user runs it. CPU seconds and peak memory are reported
by the operating system at its end: CPU time includes Prefect's temporary server, the peak is that of the largest
process. A straight line is fitted to the points of each part.

`size` encodes with the embedded model or `--model`. All other parts use a random model with one small layer, so that
the pipeline is measured and not matrix products.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.growth import Line, Panel, fit, write_picture

RESULTS = Path(__file__).resolve().parent / "results"
_CHARS = 60_000
"""Characters of the corpus that `size` multiplies: 13,000 tokens, seven seconds on two cores."""
_QUESTION = "SELECT count(*), sum(char_end) FROM words WHERE word_lower = 'bank'"


@dataclass(frozen=True, slots=True)
class Cost:
    """The resources that one command took."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    lane_busy: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What grows, its unit, the sizes of a full run, and how one size is measured.

    `scales` is whether `--scale` applies to the sizes; `embeds` is whether embedding runs are measured.
    """

    title: str
    unit: str
    sizes: tuple[float, ...]
    measure: Callable[[Workspace, float], Cost]
    scales: bool = True
    embeds: bool = True


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder, model and text of the measurements."""

    folder: Path
    model: str
    documents: Sequence[str]
    chars: int

    @property
    def small(self) -> Path:
        """The folder of the small model."""
        return self.folder / "small-model"

    def make(self, kind: str, *arguments: object) -> None:
        """Make an input, see `benchmarks.scale_inputs`."""
        command = [sys.executable, "-m", "benchmarks.scale_inputs", kind, *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def polyseme(self, *arguments: object) -> tuple[Cost, str]:
        """Run a command. Return its cost and its standard output; raises SystemExit if it failed."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        environment["PREFECT_HOME"] = str(self.folder / "prefect")
        written, output = self.folder / "stdout", self.folder / "stderr"
        with written.open("wb") as out, output.open("wb") as err:
            began = time.perf_counter()
            command = [sys.executable, "-m", "polyseme", *map(str, arguments)]
            process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.read_text()[-2000:]}")
        return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024), written.read_text()

    def embed(self, source: Path, lake: Path, model: object, **expected: int) -> Cost:
        """Embed a source. Raises SystemExit if the run did not count the documents `expected`."""
        cost, written = self.polyseme("embed", source, "--lake", lake, "--model", model, "--json")
        report = json.loads(written)
        met = {name: report["tally"][name] for name in expected}
        if met != expected or report["tally"]["rejected"]:
            raise SystemExit(f"Expected {expected} documents, but the run says {report['tally']}.")
        return Cost(cost.cpu_s, cost.wall_s, cost.peak_mb, report["lane_busy"])


def _size(workspace: Workspace, copies: float) -> Cost:
    source = workspace.folder / "tiled.jsonl"
    workspace.make("tiled", source, int(copies), workspace.chars, *workspace.documents)
    with source.open("rb") as lines:
        documents = sum(1 for _ in lines)
    return workspace.embed(source, workspace.folder / "lake", workspace.model, new=documents)


def _long(workspace: Workspace, megabytes: float) -> Cost:
    workspace.make("long", workspace.folder / "long.txt", megabytes)
    return workspace.embed(workspace.folder / "long.txt", workspace.folder / "lake", workspace.small, new=1)


def _short(workspace: Workspace, thousands: float) -> Cost:
    count = max(1, round(1000 * thousands))
    workspace.make("short", workspace.folder / "short.jsonl", count)
    return workspace.embed(workspace.folder / "short.jsonl", workspace.folder / "lake", workspace.small, new=count)


def _unchanged(workspace: Workspace, thousands: float) -> Cost:
    count = max(1, round(1000 * thousands))
    source, lake = workspace.folder / "short.jsonl", workspace.folder / "lake"
    workspace.make("short", source, count)
    workspace.make("unchanged", lake, source, workspace.small)
    return workspace.embed(source, lake, workspace.small, unchanged=count)


def _parts(workspace: Workspace, count: float) -> Cost:
    workspace.make("parts", workspace.folder / "lake", max(1, round(count)))
    return workspace.polyseme("sql", _QUESTION, "--lake", workspace.folder / "lake")[0]


def _encodings(workspace: Workspace, count: float) -> Cost:
    workspace.make("encodings", workspace.folder / "lake", max(1, round(count)))
    return workspace.polyseme("sql", _QUESTION, "--lake", workspace.folder / "lake")[0]


PARTS = {
    "size": Part("A corpus and its multiples", "copies", (1, 4, 16), _size, scales=False),
    "long": Part("One long document", "MB of text", (2, 10, 50), _long),
    "short": Part("Documents of ten words", "thousand documents", (20, 200, 1000), _short),
    "unchanged": Part("Unchanged documents", "thousand documents", (20, 100, 500), _unchanged),
    "parts": Part("A question, many parts", "parts a table", (25, 100, 400), _parts, embeds=False),
    "encodings": Part("A question, many encodings", "encodings", (1, 4, 16), _encodings, scales=False, embeds=False),
}


def _prepare(workspace: Workspace) -> None:
    """Make the small model, and let Prefect create its database, which it does once."""
    workspace.make("model", workspace.small)
    workspace.make("short", workspace.folder / "one.jsonl", 1)
    first = workspace.embed(workspace.folder / "one.jsonl", workspace.folder / "lake", workspace.small, new=1)
    print(
        f"  one document of ten words, the very first run: {first.cpu_s:.1f} CPU s, {first.peak_mb:.0f} MB", flush=True
    )


def run(part: Part, workspace: Workspace, scale: float) -> dict[str, Any]:
    """Measure every size of a part, and print the points and the fitted lines."""
    sizes = tuple(size * scale for size in part.sizes) if part.scales else part.sizes
    print(f"\n{part.title}\n{part.unit:>20}   CPU s   wall s   peak MB   model at work", flush=True)
    costs: list[Cost] = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=workspace.folder) as place:
            here = Workspace(Path(place), workspace.model, workspace.documents, workspace.chars)
            for shared in (workspace.small, workspace.folder / "prefect"):
                (here.folder / shared.name).symlink_to(shared)
            costs.append(part.measure(here, size))
        busy = costs[-1].lane_busy
        print(
            f"{size:20,.5g} {costs[-1].cpu_s:7.1f} {costs[-1].wall_s:8.1f} {costs[-1].peak_mb:9.0f}"
            + (f"   {busy:13.1%}" if busy else ""),
            flush=True,
        )
    lines = {name: fit(sizes, [getattr(c, name) for c in costs]) for name in ("cpu_s", "peak_mb")}
    for name, unit in (("cpu_s", "CPU s"), ("peak_mb", "MB at the peak")):
        line = lines[name]
        print(f"  {unit} = {line.intercept:,.4g} + {line.slope:,.3g} x {part.unit}", end="")
        print(f"   (R² {line.r2:.4f}, furthest point {line.off:.1%} off)", flush=True)
    return {
        "unit": part.unit,
        "sizes": sizes,
        "costs": [asdict(cost) for cost in costs],
        "lines": {name: asdict(line) for name, line in lines.items()},
    }


def _panels(found: dict[str, Any]) -> list[Panel]:
    return [
        Panel(f"{PARTS[name].title}: {title}", part["unit"], unit, part["sizes"],
              [cost[key] for cost in part["costs"]], Line(**part["lines"][key]))
        for name, part in found.items()
        for key, title, unit in (("cpu_s", "time", "CPU s"), ("peak_mb", "memory", "MB"))
    ]  # fmt: skip


def _machine() -> dict[str, str]:
    """Describe the machine in another process: PyTorch in this one would count as peak memory of its children."""
    ask = "import json; from benchmarks.machine import describe; print(json.dumps(describe()))"
    described: dict[str, str] = json.loads(subprocess.check_output([sys.executable, "-c", ask]))
    return described


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the parts given, print them, and write `scale.json` and `scale.svg`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--scale", type=float, default=1.0, help="all sizes times this; 0.02 takes 3 minutes")
    parser.add_argument("--documents", nargs="*", help="text for `size` (default: examples/corpus)")
    parser.add_argument("--model", default="polyseme-mini", help="the model of `size`")
    parser.add_argument("--folder", type=Path, help="for temporary lakes of up to 3 GB")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder for scale.json and scale.svg")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    documents = options.documents or [str(Path(__file__).resolve().parent.parent / "examples" / "corpus")]
    machine = _machine()
    for name, value in machine.items():
        print(f"  {name}: {value}", flush=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="polyseme-scale-") as folder:
        workspace = Workspace(Path(folder), options.model, documents, round(_CHARS * options.scale))
        (workspace.folder / "prefect").mkdir()
        chosen = options.parts or list(PARTS)
        if any(PARTS[name].embeds for name in chosen):
            _prepare(workspace)
        for name in chosen:
            found[name] = run(PARTS[name], workspace, options.scale)
    options.out.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine, "scale": options.scale, "model": options.model, "parts": found}
    (options.out / "scale.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    write_picture(_panels(found), options.out / "scale.svg", title="As work grows")


if __name__ == "__main__":
    main()
