"""Senses, breaks and drift, over stored vectors and margins. NumPy only."""
