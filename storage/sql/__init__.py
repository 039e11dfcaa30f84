"""A lake as DuckDB sees it: views, connections, nearest neighbours."""
