"""A lake kept small and whole: compaction, vacuum, verification, repair."""
