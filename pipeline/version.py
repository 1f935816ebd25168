"""The version of this program, shown by ``--version`` and written into models, tables and records."""

__version__ = "0.3.0"
