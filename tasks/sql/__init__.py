"""The model and the analyses as SQL functions."""
