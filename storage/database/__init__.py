"""The catalog's tables; each function works inside a transaction that it is given."""
