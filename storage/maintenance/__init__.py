"""Maintenance: compaction, vacuum, verification and repair of a lake."""
