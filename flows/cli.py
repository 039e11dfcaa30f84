"""The `polyseme` command: which commands there are, and what an error becomes at the shell.

Exit codes: 0 ok, 1 failure, 2 usage, 3 finished with rejects under --strict, 4 lake missing, locked or incompatible,
5 model or device unavailable, 130 Ctrl-C. Data goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, Parameter

from polyseme.flows.settings import sources_of_settings
from polyseme.storage.errors import PolysemeError

HELP = """Contextual embeddings of whole corpora that answer SQL.

Documents become sentences, WordPiece tokens, BERT vectors and Next Sentence Prediction scores in a lake of Parquet
files that DuckDB queries. Start with: polyseme embed FOLDER, then: polyseme sql "from sentences limit 5".
"""
EPILOGUE = """Every flag can also be set in the environment (POLYSEME_LAKE=…) or in polyseme.toml.
--debug with any command shows the traceback of an error."""

app = App(
    name="polyseme",
    help=HELP,
    help_epilogue=EPILOGUE,
    version=lambda: version("polyseme"),
    config=sources_of_settings(),
    default_parameter=Parameter(show_env_var=False),
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
_COMMANDS = {
    "embed": ("polyseme.flows.commands.embed:embed", "Embed documents into a lake; what is unchanged is skipped."),
    "backfill": (
        "polyseme.flows.commands.backfill:backfill",
        "Encode again what the lake holds, or in another encoding.",
    ),
    "deploy": (
        "polyseme.flows.commands.operate:deploy",
        "Register the deployments with a Prefect server, for workers to run.",
    ),
    "serve": ("polyseme.flows.commands.operate:serve", "Run the deployments from this process, without a worker."),
    "watch": ("polyseme.flows.commands.operate:watch", "Tell the Prefect server when files of a corpus have arrived."),
    "sql": ("polyseme.flows.commands.sql:sql", "Ask the lake in SQL."),
    "search": ("polyseme.flows.commands.search:search", "Find sentences or words by meaning."),
    "senses": ("polyseme.flows.commands.senses:senses", "Group the occurrences of a word by sense."),
    "coherence": (
        "polyseme.flows.commands.coherence:coherence",
        "Rank documents by coherence; show one's curve and breaks.",
    ),
    "report": ("polyseme.flows.commands.report:report", "Write one HTML page about the lake."),
    "status": ("polyseme.flows.commands.lake:status", "Show what the lake holds and its last runs."),
    "rejects": ("polyseme.flows.commands.lake:rejects", "List the input that was refused, and why."),
    "compact": (
        "polyseme.flows.commands.maintain:compact",
        "Merge small parts and drop the rows of replaced documents.",
    ),
    "vacuum": ("polyseme.flows.commands.maintain:vacuum", "Remove the files that nobody needs any more."),
    "verify": ("polyseme.flows.commands.maintain:verify", "Check every part and what they say together."),
    "publish": ("polyseme.flows.commands.maintain:publish", "Build catalog.duckdb anew, for any DuckDB to read."),
    "tokens": ("polyseme.flows.commands.model:tokens", "Show the WordPiece tokens of a text."),
    "nsp": ("polyseme.flows.commands.model:nsp", "Score whether one sentence follows another."),
    "fill-mask": ("polyseme.flows.commands.model:fill_mask", "Predict what stands behind [MASK] in a text."),
    "adapt": ("polyseme.flows.commands.adapt:adapt", "Teach a BERT your corpus with MLM and NSP."),
    "evaluate": ("polyseme.flows.commands.evaluate:evaluate", "Measure a model, or two side by side."),
    "doctor": ("polyseme.flows.commands.doctor:doctor", "Check the installation, the model, the device and the lake."),
}
for _name, (_target, _help) in _COMMANDS.items():
    app.command(_target, name=_name, help=_help)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    _log_to_stderr()
    try:
        code = app([w for w in words if w != "--debug"])
    except KeyboardInterrupt:
        if debug:
            raise
        print("Interrupted. What was committed is kept; run the same command again to go on.", file=sys.stderr)  # noqa: T201
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output left; nothing can be said to it any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except PolysemeError as error:
        if debug:
            raise
        print(f"polyseme: {error}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    except Exception as error:
        if debug:
            raise
        print(  # noqa: T201
            f"polyseme: unexpected {type(error).__name__}: {error}. Run again with --debug for the traceback.",
            file=sys.stderr,
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _log_to_stderr() -> None:
    """Show the warnings of our own packages; Prefect's log has its own rules (see --verbose)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger("polyseme").addHandler(handler)
    logging.getLogger("polyseme").propagate = False
