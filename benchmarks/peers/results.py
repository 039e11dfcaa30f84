"""Results: one per peer and batch size, as JSON and as a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.race import Times

_PACKAGES = ("transformers", "sentence-transformers", "fastembed", "onnxruntime", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row. `ratios` are CPU seconds as multiples of Polyseme's in fp32, one per round.

    `utilisation` is the rate of operations on real tokens as a share of the machine's rate of matrix products, None for
    int8. `difference` is the largest absolute difference from Polyseme's vectors in fp32, `cosine` the mean and the
    least cosine with them.
    """

    name: str
    batch: int | None
    note: str
    precision: str
    times: Times
    ratios: list[float]
    utilisation: float | None
    difference: float
    cosine: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values, for JSON."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """Return the row as text, in the order of the table's columns."""
        batch = "" if self.batch is None else f"{self.batch} ({self.note})" if self.note else f"{self.batch}"
        ratio = f"{statistics.median(self.ratios):.2f}x ({min(self.ratios):.2f} to {max(self.ratios):.2f})"
        mean, least = self.cosine
        return (
            self.name,
            batch,
            f"{self.times.typical:.2f} ({min(self.times.cpu):.2f} to {max(self.times.cpu):.2f})",
            f"{self.times.typical_wall:.2f}",
            ratio,
            "" if self.utilisation is None else f"{self.utilisation:.0%}",
            f"differ by {self.difference:.0e}" if self.precision == "fp32" else f"cosine {mean:.4f}, least {least:.4f}",
        )


def table(results: Sequence[Result]) -> str:
    """Return the results in Markdown."""
    names = "| | batch | CPU s | wall s | of Polyseme fp32 | of the matrix rate | vectors |"
    return "\n".join(
        [names, "|---|---|---:|---:|---:|---:|---|", *("| " + " | ".join(result.cells()) + " |" for result in results)]
    )


def tuning_table(tried: Mapping[str, Mapping[int, float]]) -> str:
    """Return CPU seconds by peer and batch size in Markdown, the best in bold."""
    batches = list(next(iter(tried.values()), ()))
    rows = [f"| tuning, CPU s by batch | {' | '.join(map(str, batches))} |", "|---|" + "---:|" * len(batches)]
    for name, seconds in tried.items():
        best = min(seconds.values())
        cells = (f"**{s:.2f}**" if s == best else f"{s:.2f}" for s in seconds.values())
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def versions() -> dict[str, str]:
    """Return the versions of the peers' packages, or `not installed`."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
