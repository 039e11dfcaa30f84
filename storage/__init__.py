"""Bytes at rest: records, Parquet parts, the catalog, SQL. Plain Python; imports neither prefect nor torch."""
