"""Parquet below its libraries: page headers, and vectors read by their position in the file. Knows no lake."""
