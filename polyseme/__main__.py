"""`python -m polyseme`: the `polyseme` command."""

from polyseme.flows.cli import main

main()
