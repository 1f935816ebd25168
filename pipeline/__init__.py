"""Command line, settings, paths, files and workers of a step; minima and exact results in and out."""

import sys

if sys.version_info < (3, 10):  # noqa: UP036 (the first that a script imports)
    sys.stderr.write("error: %s is Python %d.%d; 3.10 or later is needed\n" % (sys.executable, *sys.version_info[:2]))  # noqa: UP031
    sys.exit(2)

__version__ = "0.3.0"  # the version of this program, shown by ``--version`` and written into models, tables and records
