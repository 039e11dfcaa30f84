"""Options that name a checkpoint and the device that it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from polyseme.flows.commands.options.panels import MODEL
from polyseme.storage.records import Device

if TYPE_CHECKING:
    from polyseme.tasks.engine import Engine
    from polyseme.tasks.sql.functions import ModelFunctions

Model = Annotated[
    str,
    Parameter(
        help="A checkpoint of an encoder, such as BERT or RoBERTa: a folder, a hub id (owner/name[@revision]) such as "
        "google-bert/bert-base-uncased, or polyseme-mini, which comes with Polyseme."
    ),
]
DeviceName = Annotated[
    Device,
    Parameter(help="Where the model runs: auto takes a CUDA GPU if there is one, else Apple's (mps), else the CPU."),
]


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which model to run, and where."""

    model: Model = "polyseme-mini"
    device: DeviceName = "auto"

    def engine(self) -> Engine:
        """Return an engine of its own for this model."""
        from polyseme.tasks.engine import Engine
        from polyseme.tasks.engine_config import EngineConfig

        return Engine(EngineConfig(model=self.model, device=self.device))


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, slots=True, kw_only=True)
class LakeModelOptions:
    """Where the model that made a lake's vectors is now, and where it runs."""

    model: str | None = None
    """Folder or hub id of the checkpoint that made this lake's vectors, if it is no longer where it was then."""

    device: DeviceName = "auto"


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOptions(LakeModelOptions):
    """The model behind SQL functions, and how much memory `nearest` may take."""

    cache_mb: int = 2048
    """Memory for sentence vectors, in MiB; those of a larger lake are read from its files each time."""

    def functions(self) -> ModelFunctions:
        """Return the functions for a connection; the model is loaded by the first that needs it."""
        from polyseme.tasks.sql.functions import ModelFunctions

        return ModelFunctions(model=self.model, device=self.device, cache_bytes=self.cache_mb << 20)
