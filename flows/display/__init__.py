"""What people see: tables, progress, the SQL shell, pictures, the report page."""
