"""Pictures, tables for the terminal, and the report."""
