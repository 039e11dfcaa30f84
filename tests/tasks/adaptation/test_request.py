"""Requests for an adaptation: plain values that travel as parameters, with every device, or an error."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter

from polyseme.storage.errors import UsageError
from polyseme.storage.records import Device
from polyseme.tasks.adaptation.request import Adaptation
from polyseme.tasks.engine import Engine
from polyseme.tasks.engine_config import EngineConfig
from polyseme.tasks.model.devices import BATCHES_AT_ONCE, TOKEN_BUDGET, resolve_device, token_budget

PLAIN = {"sources": ["notes"], "out": "model", "training": {"steps": 1}}


@pytest.mark.parametrize("device", get_args(Device))
def test_every_device_can_be_requested_and_travels_as_a_parameter(device: Device) -> None:
    adapter = TypeAdapter(Adaptation)
    adaptation = adapter.validate_python(PLAIN | {"device": device})
    assert adaptation.device == device
    assert adapter.validate_json(adapter.dump_json(adaptation)) == adaptation
    assert "device" not in adaptation.identity(None)


def test_metal_is_taken_from_the_request_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    adaptation = TypeAdapter(Adaptation).validate_python(PLAIN | {"device": "mps"})
    device, precision = resolve_device(adaptation.device, adaptation.precision)
    assert (device.type, precision) == ("mps", "fp32")
    engine = Engine(EngineConfig(device=adaptation.device))
    assert (engine.device_type, engine.spec.precision) == ("mps", "fp32")
    assert token_budget(device, hidden=384, intermediate=1536) == TOKEN_BUDGET["mps"]
    assert BATCHES_AT_ONCE["mps"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": []}, "at least one file"),
        ({"sources": ["-"], "shape": {}}, "read only once"),
        ({"held_out": 1.0}, "--held-out"),
        ({"evaluation_pairs": -1}, "--evaluation-pairs"),
        ({"precision": "int8"}, "not int8"),
        ({"shape": {"hidden": 30, "heads": 4}}, "multiple of --heads"),
    ],
)
def test_contradicting_settings_are_rejected(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TypeAdapter(Adaptation).validate_python(PLAIN | changes)
