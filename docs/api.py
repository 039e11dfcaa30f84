"""The reference of the public names, from their signatures and docstrings. It imports nothing of what it describes.

python docs/api.py            # print it
python docs/api.py --write    # put it into docs/api.md
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from printed import DOCS, run

ROOT = DOCS.parent
PAGE = DOCS / "api.md"
_WIDTH = 100
_QUOTED = re.compile(r"""'([^'"\\\n]*)'""")
"""As Python writes a string, which our code does with `"`."""
FACE = ROOT / "polyseme" / "__init__.py"

RETURNED = {
    "ChunkTables": "tasks.encode.chunk_tables",
    "Result": "flows.notebook.results",
    "RunReport": "flows.runs.run_report",
    "StoredDocument": "flows.notebook.results",
}
"""What the public names return that is not one of them, and where it is defined."""
MEMBERS: dict[str, set[str]] = {
    "Access": set(),
    "Engine": {"run", "check", "spec", "device_type"},
    "Lake": {"create"},
    "ModelFunctions": {"stop", "go_on"},
    "Outputs": {"covers"},
    "Runner": set(),
}
"""Of these classes other members are for Polyseme itself."""
WORDS_HOME = "storage.records"
"""Where the types are that allow some words only, such as `Device`."""


def reference() -> str:
    """Return a section for each public name, then for what they return, and the words that options allow."""
    homes = _homes()
    sections = [line for name in sorted(homes, key=str.lower) for line in section(name, homes[name])]
    returned = [line for name, home in RETURNED.items() for line in section(name, home)]
    text = "\n".join(["## Names\n", *sections, "## What they return\n", *returned])
    text += "\n" + "\n".join(["## Words that options allow\n", *_words(text)]) + "\n"
    return re.sub(r"(```python\n.*?```)", lambda code: _QUOTED.sub(r'"\1"', code[0]), text, flags=re.DOTALL)


def section(name: str, home: str) -> Iterator[str]:
    """Yield the lines of one name: what it takes, what its docstring says, its members."""
    node = next(each for each in _module(home).body if getattr(each, "name", None) == name)
    yield f"### `{name}`\n"
    if isinstance(node, ast.FunctionDef):
        yield from _described(signature(node, name), node)
    elif isinstance(node, ast.ClassDef):
        yield from _described(_construction(node), node)
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and _is_public(member, MEMBERS.get(name)):
                yield f"#### `{name}.{member.name}`\n"
                yield from _described(_member(member), member)


def signature(function: ast.FunctionDef, name: str, *, bound: bool = False) -> str:
    """Return `name(parameters) -> type`, on one line if it fits. `bound` leaves out the first parameter."""
    returned = f" -> {ast.unparse(function.returns)}" if function.returns and name == function.name else ""
    return _call(name, parameters(function.args)[bound:], returned)


def parameters(arguments: ast.arguments) -> list[str]:
    """Return each parameter as it is written in a `def`, `*` and `/` among them."""
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    found = [_parameter(a, d) for a, d in zip(positional, [None] * without + arguments.defaults, strict=True)]
    if arguments.posonlyargs:
        found.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        found.append(f"*{_parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        found.append("*")
    found += [_parameter(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return [*found, f"**{_parameter(arguments.kwarg, None)}"] if arguments.kwarg else found


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    equals = " = " if kind else "="
    return f"{argument.arg}{kind}{equals}{ast.unparse(default)}" if default else f"{argument.arg}{kind}"


def _construction(node: ast.ClassDef) -> str:
    """Return the call that makes an instance: that of `__init__`, or a dataclass's fields, or the name alone."""
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            return signature(member, node.name, bound=True)
    decorators = " ".join(map(ast.unparse, node.decorator_list))
    if "dataclass" not in decorators:
        return f"class {node.name}({', '.join(map(ast.unparse, node.bases))})"
    fields = [_field(each) for each in node.body if isinstance(each, ast.AnnAssign)]
    return _call(node.name, ["*"] * ("kw_only" in decorators) + [each for each in fields if each[0] != "_"], "")


def _field(node: ast.AnnAssign) -> str:
    """Return a field of a dataclass as its constructor has it: with the default that `field(…)` gives it."""
    default = node.value
    if isinstance(default, ast.Call) and ast.unparse(default.func) == "field":
        said = {each.arg: each.value for each in default.keywords}
        made = said.get("default_factory")
        default = said.get("default") if made is None else ast.Call(made, [], [])
    return ast.unparse(ast.AnnAssign(node.target, node.annotation, default, node.simple))


def _member(member: ast.FunctionDef) -> str:
    decorators = [ast.unparse(each) for each in member.decorator_list]
    if any("property" in each for each in decorators):
        return f"{member.name}: {ast.unparse(member.returns) if member.returns else 'object'}"
    return signature(member, member.name, bound="staticmethod" not in decorators)


def _call(name: str, inside: list[str], after: str) -> str:
    line = f"{name}({', '.join(inside)}){after}"
    return line if len(line) <= _WIDTH else "\n".join([f"{name}(", *(f"    {each}," for each in inside), f"){after}"])


def _described(code: str, node: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    yield f"```python\n{code}\n```\n"
    if text := ast.get_docstring(node):
        yield textwrap.dedent(text) + "\n"


def _is_public(member: ast.FunctionDef, chosen: set[str] | None) -> bool:
    return member.name in chosen if chosen is not None else not member.name.startswith("_")


def _words(text: str) -> Iterator[str]:
    """Yield the types of records that are a choice of words, if the text names them."""
    yield "```python"
    for node in _module(WORDS_HOME).body:
        if isinstance(node, ast.Assign) and "Literal" in ast.unparse(node.value):
            name = ast.unparse(node.targets[0])
            if name in text:
                yield ast.unparse(node)
    yield "```"


def _homes() -> dict[str, str]:
    """Return the module of each public name, as `polyseme/__init__.py` has it."""
    for node in ast.parse(FACE.read_bytes()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            homes: dict[str, str] = ast.literal_eval(node.value)
            return homes
    raise SystemExit(f"{FACE} has no _HOMES.")


@cache
def _module(home: str) -> ast.Module:
    path = ROOT / home.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else Path(f"{path}.py")
    return ast.parse(file.read_bytes())


if __name__ == "__main__":
    run(PAGE, reference, description=__doc__)
