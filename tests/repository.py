"""Where the repository is, for tests of its documents, examples and data."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
