"""Families of encoders: what a checkpoint's configuration and weights are called, one module each. Knows no torch."""
