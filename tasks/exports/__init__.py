"""Exports: the vectors of a lake in the formats of other tools, kept up to date by document."""
