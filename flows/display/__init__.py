"""What people see: tables, progress, the SQL shell, the status of a lake."""
