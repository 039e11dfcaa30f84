"""What travels to a GPU machine and back, in pieces: `python -m benchmarks.gpu_pack pack | split | join`.

`pack` makes a folder that holds all a session needs and is below a limit. `split` copies a folder with its large files
cut into pieces, `join` puts them together again. Needs Python alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parents[1]
MIB = 2**20
LIMIT_MIB, PIECE_MIB = 64.0, 16.0
MANIFEST = ".pieces.json"
"""Ends the name of the list of a file's pieces, which is written after them."""
_NEEDED = ("polyseme", "storage", "tasks", "benchmarks", "examples")
"""The parts of the repository that a session runs; without Prefect there is no use for `flows`."""
_NOT_NEEDED = shutil.ignore_patterns("__pycache__", "*.pyc", "results", "peers")
_BLOCK = MIB


class PackError(Exception):
    """Something does not fit, is missing or was damaged on the way; the message says what to do."""


def pack(
    out: Path, *, wheels: Path | None = None, texts: Sequence[Path] = (), model: Path | None = None,
    teacher: Path | None = None, limit: int = int(LIMIT_MIB * MIB),
) -> int:  # fmt: skip
    """Make the folder `out` and return its bytes: code, `wheels/`, `text/` as .xz, `model/` and `teacher/` if given.

    The embedded model is taken as `models/polyseme-mini`, where the code finds it. Raises PackError for more than
    `limit` bytes and leaves nothing.
    """
    if out.exists():
        raise PackError(f"{out} exists already. Remove it, or name another --out.")
    try:
        for name in _NEEDED:
            shutil.copytree(ROOT / name, out / name, symlinks=True, ignore=_NOT_NEEDED)
        for name, folder in {"model": model, "teacher": teacher}.items():
            if folder is not None:
                embedded = folder.resolve() == ROOT / "models" / "polyseme-mini"
                shutil.copytree(folder, out / "models" / "polyseme-mini" if embedded else out / name)
        for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
            (out / "wheels").mkdir(exist_ok=True)
            shutil.copy(wheel, out / "wheels")
        for text in texts:
            _compress(text, out / "text")
        sizes = {path: path.lstat().st_size for path in out.rglob("*") if path.is_file() and not path.is_symlink()}
        if sum(sizes.values()) > limit:
            raise PackError(_too_large(sizes, out, limit))
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return sum(sizes.values())


def _compress(text: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if text.suffix == ".xz":
        shutil.copy(text, folder)
        return
    with text.open("rb") as source, lzma.open(folder / f"{text.name}.xz", "wb", preset=6) as target:
        shutil.copyfileobj(source, target, _BLOCK)


def _too_large(sizes: dict[Path, int], out: Path, limit: int) -> str:
    largest = sorted(sizes, key=lambda path: -sizes[path])[:10]
    lines = [f"  {sizes[path] / MIB:7.1f} MiB  {path.relative_to(out)}" for path in largest]
    return (
        f"All together it is {sum(sizes.values()) / MIB:.1f} MiB, the limit is {limit / MIB:.1f}. Leave something out "
        "or send it in another call. The largest:\n" + "\n".join(lines)
    )


def split(folder: Path, out: Path, *, below: int = int(PIECE_MIB * MIB)) -> list[Path]:
    """Copy the files of `folder` to the new folder `out`, those of `below` bytes or more in pieces; return all files.

    Of a file `x` the pieces are `x.000`, `x.001` and so on, all smaller than `below`, and `x.pieces.json` has the
    SHA-256 of each and of the whole.
    """
    out.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.stat().st_size < below:
            shutil.copyfile(path, out / path.name)
        else:
            _split(path, out, below - 1)
    return sorted(out.iterdir())


def _split(path: Path, out: Path, most: int) -> None:
    pieces = []
    whole = hashlib.sha256()
    with path.open("rb") as source:
        while data := source.read(most):
            name = f"{path.name}.{len(pieces):03d}"
            (out / name).write_bytes(data)
            whole.update(data)
            pieces.append({"name": name, "sha256": hashlib.sha256(data).hexdigest()})
    manifest = {"name": path.name, "sha256": whole.hexdigest(), "pieces": pieces}
    (out / f"{path.name}{MANIFEST}").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def join(folder: Path, out: Path) -> list[Path]:
    """Put what `split` wrote into `folder` together in the new folder `out`; return its files.

    Raises PackError for a piece that is missing or differs, and leaves nothing.
    """
    if out.exists():
        raise PackError(f"{out} exists already. Remove it, or name another --out.")
    manifests = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob(f"*{MANIFEST}"))]
    in_pieces = {piece["name"] for manifest in manifests for piece in manifest["pieces"]}
    out.mkdir(parents=True)
    try:
        for path in sorted(folder.iterdir()):
            if path.name not in in_pieces and not path.name.endswith(MANIFEST):
                shutil.copyfile(path, out / path.name)
        for manifest in manifests:
            with (out / manifest["name"]).open("wb") as target:
                _join(manifest, folder, target)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return sorted(out.iterdir())


def _join(manifest: dict[str, Any], folder: Path, target: BinaryIO) -> None:
    whole = hashlib.sha256()
    for piece in manifest["pieces"]:
        path = folder / piece["name"]
        if not path.is_file():
            raise PackError(f"{path} is missing. Fetch it again, then join again.")
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != piece["sha256"]:
            raise PackError(f"{path} is not what was split: its SHA-256 differs. Fetch it again, then join again.")
        whole.update(data)
        target.write(data)
    if whole.hexdigest() != manifest["sha256"]:
        raise PackError(f"The pieces of {manifest['name']} are not those of one file. Fetch all of them again.")


def _report(files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        yield f"{path.stat().st_size / MIB:7.1f} MiB  {path}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three commands. Returns the exit code."""
    options = _options(arguments)
    try:
        if options.command == "pack":
            size = pack(
                options.out, wheels=options.wheels, texts=options.text, model=options.model,
                teacher=options.teacher, limit=int(options.limit_mib * MIB),
            )  # fmt: skip
            print(f"{size / MIB:.1f} MiB in {options.out}")
        elif options.command == "split":
            print("\n".join(_report(split(options.folder, options.out, below=int(options.below_mib * MIB)))))
        else:
            print("\n".join(_report(join(options.folder, options.out))))
    except (PackError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_pack", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="make a folder with all that a session on a GPU machine needs")
    packing.add_argument("--out", type=Path, required=True, metavar="DIR")
    packing.add_argument("--wheels", type=Path, metavar="DIR", help="wheels for the machine's Python")
    packing.add_argument("--text", type=Path, nargs="+", default=[], metavar="FILE", help="text to train on")
    packing.add_argument("--model", type=Path, metavar="DIR", help="a model to take along; none by default")
    packing.add_argument("--teacher", type=Path, metavar="DIR", help="a second model, for the option teacher")
    packing.add_argument("--limit-mib", type=float, default=LIMIT_MIB, metavar="N")
    splitting = commands.add_parser("split", help="copy a folder, large files in pieces")
    splitting.add_argument("--below-mib", type=float, default=PIECE_MIB, metavar="N")
    joining = commands.add_parser("join", help="put the pieces together again, each checked by its SHA-256")
    for command in (splitting, joining):
        command.add_argument("folder", type=Path)
        command.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
