"""OpenVINO as a peer, fp32 on one thread."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from benchmarks.peers.padded import EXAMPLE, Inputs, Padded, pad
from benchmarks.peers.peer import Peer
from benchmarks.peers.torch_peers import load
from polyseme.tasks.engine import Engine

_SETTINGS = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}


def peers(engine: Engine) -> list[Peer]:
    """Return OpenVINO with `engine`'s weights."""
    import openvino

    example = {name: torch.from_numpy(values) for name, values in pad(EXAMPLE).items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = openvino.convert_model(load(engine), example_input=example)
    request = openvino.Core().compile_model(model, "CPU", _SETTINGS).create_infer_request()
    names = {name for port in request.model_inputs for name in port.names}

    def forward(inputs: Inputs) -> Any:
        return request.infer({name: values for name, values in inputs.items() if name in names})[0]

    by_length = Padded.of(engine.checkpoint.folder, engine.spec.max_tokens, forward)
    return [Peer("OpenVINO fp32, sorted by length", by_length, tuned=True)]
