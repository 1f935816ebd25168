"""The version of this program, told by ``--version`` and written into all that is kept."""

__version__ = "0.2.0"
