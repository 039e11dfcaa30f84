"""Storage: records, Parquet parts, the catalog, and SQL over them. Imports neither Prefect nor torch."""
