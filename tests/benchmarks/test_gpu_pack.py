"""What goes to a GPU machine fits, and what comes back in pieces is what was sent."""

from __future__ import annotations

import lzma
import random
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks import gpu_pack, gpu_wheels
from benchmarks.gpu_pack import PackError, join, pack, split
from polyseme.tasks.evaluation.evaluation import default_data
from tests import processes
from tests.repository import ROOT

BELOW = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small files, one of exactly the bound, and one of three pieces and a byte."""
    made = tmp_path / "model"
    made.mkdir()
    for name, size in {"config.json": 20, "empty": 0, "bound": BELOW, "weights": 3 * (BELOW - 1) + 1}.items():
        (made / name).write_bytes(random.Random(size).randbytes(size))
    return made


def test_pieces_are_below_the_bound_and_join_to_the_same_files(folder: Path, tmp_path: Path) -> None:
    pieces = split(folder, tmp_path / "pieces", below=BELOW)
    assert all(path.stat().st_size < BELOW for path in pieces)
    assert {"weights.003", "weights.pieces.json", "bound.001", "empty"} <= {path.name for path in pieces}
    joined = join(tmp_path / "pieces", tmp_path / "joined")
    assert {path.name: path.read_bytes() for path in joined} == {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(("damage", "message"), [("changed", "SHA-256 differs"), ("removed", "missing")])
def test_a_damaged_piece_is_named_and_nothing_is_left(damage: str, message: str, folder: Path, tmp_path: Path) -> None:
    split(folder, tmp_path / "pieces", below=BELOW)
    piece = tmp_path / "pieces" / "weights.002"
    piece.unlink() if damage == "removed" else piece.write_bytes(b"x" + piece.read_bytes()[1:])
    with pytest.raises(PackError, match=rf"weights\.002.*{message}"):
        join(tmp_path / "pieces", tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_what_is_packed_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text('{"text": "One."}\n')
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "x-1-py3-none-any.whl").write_bytes(b"")
    out = tmp_path / "packed"
    size = pack(out, wheels=tmp_path / "wheels", texts=[tmp_path / "text.jsonl"])
    assert size < 4 * gpu_pack.MIB
    assert lzma.decompress((out / "text" / "text.jsonl.xz").read_bytes()) == b'{"text": "One."}\n'
    assert (out / "wheels" / "x-1-py3-none-any.whl").is_file()
    assert not (out / "models").exists()
    assert "--minutes" in processes.run(sys.executable, "-m", "benchmarks.gpu_session", "--help", cwd=out).stdout


def test_a_teacher_travels_beside_the_model_and_so_does_the_data_of_the_evaluation(
    tmp_path: Path, folder: Path
) -> None:
    embedded = ROOT / "models" / "polyseme-mini"
    pack(tmp_path / "packed", model=folder, teacher=embedded)
    assert (tmp_path / "packed" / "model" / "weights").is_file()
    assert (tmp_path / "packed" / "models" / "polyseme-mini" / "model.safetensors").is_file()
    pack(tmp_path / "other", model=embedded, teacher=folder)
    assert (tmp_path / "other" / "teacher" / "weights").is_file()
    data = {path.name for path in default_data().glob("*.jsonl")}
    assert data
    assert data == {path.name for path in (tmp_path / "packed" / "examples").glob("*.jsonl")}


def test_more_than_the_limit_is_refused_with_the_largest(tmp_path: Path) -> None:
    embedded = ROOT / "models" / "polyseme-mini"
    with pytest.raises(PackError, match=r"The largest:\n +\d+\.\d MiB  models/polyseme-mini/model\.safetensors"):
        pack(tmp_path / "packed", model=embedded, limit=20 * gpu_pack.MIB)
    assert not (tmp_path / "packed").exists()


def test_a_wheel_is_unpacked_only_for_this_python_and_if_it_is_missing(tmp_path: Path) -> None:
    mine = f"cp{sys.version_info.major}{sys.version_info.minor}"
    for name in ("lacking_here-1-py3-none-any", f"lacking_too-1-{mine}-{mine}-linux_x86_64", "old-1-cp27-cp27m-any",
                 "NumPy-1-py3-none-any"):  # fmt: skip
        with zipfile.ZipFile(tmp_path / f"{name}.whl", "w") as archive:
            archive.writestr(f"{name.split('-')[0]}.py", "")
    lines = gpu_wheels.unpack(tmp_path, tmp_path / "into")
    assert {path.stem for path in (tmp_path / "into").iterdir()} == {"lacking_here", "lacking_too"}
    assert [line.split(": ")[1] for line in lines if line.startswith("old")] == [
        f"not for Python {sys.version_info.major}.{sys.version_info.minor}"
    ]
