"""The `polyseme` command: its commands, and the message and exit code that an error ends with.

Exit codes: 0 ok, 1 failure, 2 usage, 3 finished with rejects under --strict, 4 lake missing, locked or incompatible,
5 model or device unavailable, 6 finished with deletions held back, 130 Ctrl-C, 128 and its number another signal. Data
goes to stdout, everything else to stderr.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from cyclopts import App, Parameter

from polyseme.flows.commands.options.corpora import settings_of_corpora
from polyseme.flows.display.terminal import Escaping, complain, note
from polyseme.flows.settings import sources_of_settings
from polyseme.flows.signals import guardian
from polyseme.flows.signals.ending import arrived, ended_by_signals
from polyseme.storage.errors import PolysemeError, UnstoppableError, UsageError

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
    config=[*sources_of_settings(), settings_of_corpora],
    default_parameter=Parameter(show_env_var=False),
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
_COMMANDS = {
    "embed": ("polyseme.flows.commands.embed:embed", "Embed documents into a lake; what is unchanged is skipped."),
    "backfill": (
        "polyseme.flows.commands.backfill:backfill",
        "Encode the lake's documents again, or in another encoding.",
    ),
    "deploy": (
        "polyseme.flows.commands.operate:deploy",
        "Register the deployments with a Prefect server, for workers to run.",
    ),
    "serve": ("polyseme.flows.commands.operate:serve", "Run the deployments from this process, without a worker."),
    "watch": (
        "polyseme.flows.commands.operate:watch",
        "Send the Prefect server an event when files of a corpus arrive.",
    ),
    "sql": ("polyseme.flows.commands.sql:sql", "Query the lake in SQL."),
    "search": ("polyseme.flows.commands.search:search", "Find sentences or words by meaning."),
    "kwic": ("polyseme.flows.commands.kwic:kwic", "Show a word or phrase in its contexts, one below the other."),
    "neighbours": ("polyseme.flows.commands.neighbours:neighbours", "List the words that are used like a word."),
    "words": ("polyseme.flows.commands.words:words", "List frequent words, or the keywords of some documents."),
    "senses": ("polyseme.flows.commands.senses:senses", "Group the occurrences of a word by sense."),
    "drift": ("polyseme.flows.commands.drift:drift", "Measure how words change meaning between slices of the corpus."),
    "duplicates": (
        "polyseme.flows.commands.duplicates:duplicates",
        "List documents that are the same or nearly so, or sentences that are there several times.",
    ),
    "topics": (
        "polyseme.flows.commands.topics:topics",
        "List the topics of the corpus and their documents, or fit topics to it.",
    ),
    "compare": ("polyseme.flows.commands.compare:compare", "Compare two slices of the corpus, or two encodings."),
    "coherence": (
        "polyseme.flows.commands.coherence:coherence",
        "Rank documents by coherence; show the curve and breaks of one.",
    ),
    "explore": ("polyseme.flows.commands.explore:explore", "Look at the lake in a browser."),
    "report": ("polyseme.flows.commands.report:report", "Write one HTML page about the lake."),
    "export": ("polyseme.flows.commands.export:export", "Write the vectors in the format of another tool."),
    "status": ("polyseme.flows.commands.lake:status", "Show what the lake holds and its last runs."),
    "rejects": ("polyseme.flows.commands.lake:rejects", "List the input that was refused, and why."),
    "restore": ("polyseme.flows.commands.restore:restore", "Bring deleted documents back, until vacuum."),
    "compact": (
        "polyseme.flows.commands.maintain:compact",
        "Merge small parts and drop the rows of replaced documents.",
    ),
    "vacuum": ("polyseme.flows.commands.maintain:vacuum", "Remove files that are no longer needed."),
    "verify": ("polyseme.flows.commands.maintain:verify", "Check every part, and that parts and catalog agree."),
    "publish": ("polyseme.flows.commands.maintain:publish", "Rebuild catalog.duckdb, which any DuckDB can read."),
    "drop-encoding": (
        "polyseme.flows.commands.drop_encoding:drop_encoding",
        "Remove one encoding of the lake, with all its vectors.",
    ),
    "backup": ("polyseme.flows.commands.backup:backup", "Copy the lake to another place while it is in use."),
    "tokens": ("polyseme.flows.commands.model:tokens", "Show the WordPiece tokens of a text."),
    "nsp": ("polyseme.flows.commands.model:nsp", "Score whether one sentence follows another."),
    "fill-mask": ("polyseme.flows.commands.model:fill_mask", "Predict the token behind each [MASK] of a text."),
    "adapt": ("polyseme.flows.commands.adapt:adapt", "Continue the pretraining of a BERT on your corpus."),
    "evaluate": ("polyseme.flows.commands.evaluate:evaluate", "Evaluate a model, or two side by side."),
    "doctor": ("polyseme.flows.commands.doctor:doctor", "Check the installation, the model, the device and the lake."),
}
_GO_ON = frozenset({"embed", "backfill", "compact", "vacuum", "publish", "backup", "restore", "adapt", "export"})
"""Commands that keep what they have done when they are interrupted, and go on from there."""
for _name, (_target, _help) in _COMMANDS.items():
    app.command(_target, name=_name, help=_help)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    given = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in given
    words = [word for word in given if word != "--debug"]
    _log_to_stderr()
    interrupted: list[int] = []
    if argv is None:
        # Registered first, so called last. The interpreter's teardown is skipped: it hangs if a thread imports PyTorch.
        atexit.register(_exit_at_once, interrupted)
        # What a serve started goes on if it is killed, as the runs of a worker do.
        guardian.start(keep_children=words[:1] == ["serve"])
    try:
        with ended_by_signals():
            if words and words[0] in _COMMANDS:
                app[words[0]].help = None  # its docstring is shown instead of its line in the list of commands
            code = app(words)
    except BrokenPipeError:
        # The reader of our output is gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except UnstoppableError as error:
        note(f"polyseme: {error}")
        os._exit(128 + number if (number := arrived()) else error.exit_code)
    except BaseException as error:
        if debug or isinstance(error, SystemExit):
            raise
        code = _ended_with(error, goes_on="--encode" in words or bool(_GO_ON & {*words[:1]}))
        if arrived():
            interrupted.append(code)
    sys.exit(code if isinstance(code, int) else 0)


def _ended_with(error: BaseException, *, goes_on: bool) -> int:
    """Show an error that ended the command and return its exit code. `goes_on` is whether it can be taken up again."""
    if isinstance(error, KeyboardInterrupt) or arrived():
        # What threads log from now on may come too late for Prefect's log; each such line would show a traceback.
        logging.raiseExceptions = False
        kept = " What was committed is kept; run the same command again to go on." if goes_on else ""
        note(f"Interrupted.{kept}")
        return 128 + (arrived() or signal.SIGINT)
    if isinstance(error, PolysemeError):
        complain(f"polyseme: {error}")
        return error.exit_code
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        note(f"polyseme: {error.filename!r} is too long a name for the file system. Name a shorter one.")
        return UsageError.exit_code
    note(f"polyseme: unexpected {type(error).__name__}: {error}. Run again with --debug for the traceback.")
    return 1


def _exit_at_once(code: Sequence[int]) -> None:
    """End the process with an exit code, if there is one."""
    if code:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code[0])


def _log_to_stderr() -> None:
    """Show the warnings of our own package; Prefect's log is shown with --verbose."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Escaping("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger("polyseme").addHandler(handler)
    logging.getLogger("polyseme").propagate = False
