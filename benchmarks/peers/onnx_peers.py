"""Peers on ONNX Runtime: fp32, int8 by its own dynamic quantization, and fastembed, each on one thread.

All run one export of the engine's weights. Fusing attention too (`onnxruntime.transformers.optimizer`) was tried: it is
not faster at the best batch size, and the result cannot be quantized.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers.padded import EXAMPLE, Forward, Padded, pad
from benchmarks.peers.peer import Peer
from benchmarks.peers.torch_peers import load
from polyseme.tasks.engine import Engine

FASTEMBED_DEFAULT = 256
_OUTPUT = "last_hidden_state"


class _Body(torch.nn.Module):
    """The model with positional arguments, as the exporter passes them."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).last_hidden_state


def exported(engine: Engine, folder: Path) -> Path:
    """Return `engine`'s weights as an ONNX model in `folder`, for any number of rows of any length; written once.

    Traced, with attention as separate operations: of four graphs tried the fastest in ONNX Runtime.
    """
    path = folder / "model.onnx"
    if path.exists():
        return path
    example = pad(EXAMPLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Body(load(engine, attn_implementation="eager")),
            tuple(map(torch.from_numpy, example.values())),
            str(path),
            input_names=list(example),
            output_names=[_OUTPUT],
            dynamic_axes={name: {0: "rows", 1: "length"} for name in (*example, _OUTPUT)},
            opset_version=17,
            dynamo=False,
        )
    return path


def runtime_peers(engine: Engine, folder: Path) -> list[Peer]:
    """Return ONNX Runtime in both precisions; writes its models into `folder`."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    exact, prepared, rounded = exported(engine, folder), folder / "prepared.onnx", folder / "int8.onnx"
    quant_pre_process(exact, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, rounded, weight_type=QuantType.QInt8, per_channel=True, reduce_range=not _has_vnni())
    by_length = {p: Padded.of(engine.checkpoint.folder, engine.spec.max_tokens, _session(p)) for p in (exact, rounded)}
    return [
        Peer("ONNX Runtime fp32, sorted by length", by_length[exact], tuned=True),
        Peer("ONNX Runtime int8, sorted by length", by_length[rounded], tuned=True, precision="int8"),
    ]


def fastembed_peers(engine: Engine, folder: Path) -> list[Peer]:
    """Return fastembed; writes its model and the checkpoint's tokenizer into `folder`."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    for name in ("tokenizer.json", "config.json"):
        shutil.copyfile(engine.checkpoint.folder / name, folder / name)
    # It truncates at the smallest limit in the tokenizer's settings: that of the embedded model would drop tokens.
    limits = dict.fromkeys(("model_max_length", "max_length"), engine.spec.max_tokens)
    settings = json.loads((engine.checkpoint.folder / "tokenizer_config.json").read_text("utf-8")) | limits
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    name = f"polyseme/{engine.checkpoint.sha256[:12]}"
    TextEmbedding.add_custom_model(
        name,
        pooling=PoolingType.MEAN,
        normalization=False,
        sources=ModelSource(url="file:///nowhere"),
        dim=engine.spec.width,
        model_file=exported(engine, folder).name,
    )
    model = TextEmbedding(name, threads=1, specific_model_path=str(folder))
    return [
        Peer(
            "fastembed",
            lambda sentences, batch: np.stack(list(model.embed(list(sentences), batch_size=batch))),
            (FASTEMBED_DEFAULT, 32),
            tuned=True,
        )
    ]


def _session(path: Path) -> Forward:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run([_OUTPUT], inputs)[0]


def _has_vnni() -> bool:
    """Return whether the CPU has VNNI. Without it sums of products saturate, so weights need seven bits."""
    return torch.cpu._is_vnni_supported()
