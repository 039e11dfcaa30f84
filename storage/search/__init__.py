"""Search: one-bit codes of stored vectors, and the rows whose codes are nearest to that of a question."""
