"""A machine with torch, transformers, tokenizers, safetensors, NumPy and PyArrow alone: this folder in PYTHONPATH.

Python imports this module when it starts, in child processes too. What torch and transformers need is there as well
(filelock, PyYAML, httpx). Packages outside site-packages are not hidden, so that those carried along are found.
"""

import sys
import sysconfig
from importlib.machinery import PathFinder

HIDDEN = frozenset({
    "charset_normalizer", "cyclopts", "duckdb", "nupunkt", "orjson", "prefect", "prompt_toolkit", "pydantic", "pytz",
    "sentence_transformers", "sklearn", "sqlalchemy", "threadpoolctl", "watchfiles", "zstandard",
})  # fmt: skip
_INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


class WithoutHidden(PathFinder):
    """Python's own finder of packages on the path, which does not see the hidden ones."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):  # type: ignore[no-untyped-def]
        found = super().find_spec(fullname, path, target)
        hidden = fullname.partition(".")[0] in HIDDEN and found is not None
        return None if hidden and (found.origin or "").startswith(_INSTALLED) else found

    @classmethod
    def find_distributions(cls, *arguments, **named):  # type: ignore[no-untyped-def]
        for found in PathFinder.find_distributions(*arguments, **named):
            name = found.metadata["Name"].lower().replace("-", "_")
            if name not in HIDDEN or not str(found.locate_file("")).startswith(_INSTALLED):
                yield found


sys.meta_path[:] = [WithoutHidden if finder is PathFinder else finder for finder in sys.meta_path]
