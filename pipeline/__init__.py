"""What a step has at hand: command line, settings, paths, files, workers; minima and exact results in and out."""

import os
import signal
import sys

_PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def interrupted(*_: object) -> None:
    """End a script that is still importing: it has begun nothing, and a traceback would say nothing."""
    os.write(2, b"interrupted: nothing was begun\n")
    os._exit(130)


if (
    os.path.isfile(sys.argv[0])
    and os.path.dirname(os.path.abspath(sys.argv[0])) == _PROJECT
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, interrupted)
