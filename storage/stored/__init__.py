"""Stored rows: what a lake has of a few documents, read for reuse without decoding whole parts."""
