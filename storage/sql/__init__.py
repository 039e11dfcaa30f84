"""SQL: a lake as DuckDB shows it, with views, connections, selections and nearest neighbours."""
