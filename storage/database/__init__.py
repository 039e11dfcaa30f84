"""The catalog's database: its tables, its transactions, and what is read and written within one."""
