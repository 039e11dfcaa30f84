"""The kind of device without PyTorch: never another answer than PyTorch's own, and none where only it could tell."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import processes
from tests.repository import ROOT

_COMPARED = """
import sys
from polyseme.tasks.model import device_kind
known = device_kind.has_no_gpu()
asked = [(d, p) for d in ("auto", "cpu") for p in ("auto", "fp32", "bf16", "int8")]
before = [device_kind.device_and_precision(d, p) for d, p in asked]
assert not known or "torch" not in sys.modules
from polyseme.tasks.model.devices import resolve_device
for (d, p), found in zip(asked, before):
    device, precision = resolve_device(d, p)
    assert found == (device.type, precision), (d, p, found)
"""
_ASKED = "from polyseme.tasks.model.device_kind import has_no_gpu; print(has_no_gpu(), 'torch' in sys.modules)"
_BUILDS = {
    "cpu": ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", "True"),
    "amd": ("cuda: Optional[str] = None\nhip: Optional[str] = '6.3'\n", "False"),
    "older": ("cuda = None\nhip = None\n", "True"),
    "unknown": ("__version__ = '9'\n", "False"),
}


@pytest.mark.slow
def test_every_answer_is_pytorchs() -> None:
    processes.run(sys.executable, "-c", _COMPARED, cwd=ROOT)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyTorch is always asked")
@pytest.mark.parametrize("build", _BUILDS)
def test_a_build_for_cpus_alone_has_no_gpu_and_others_are_left_to_pytorch(tmp_path: Path, build: str) -> None:
    content, expected = _BUILDS[build]
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("")
    (tmp_path / "torch" / "version.py").write_text(content)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {_ASKED}"
    assert processes.run(sys.executable, "-c", code, cwd=ROOT).stdout.split() == [expected, "False"]
