"""Notebook: a lake as an object whose results are shown, and become data frames and matrices."""
