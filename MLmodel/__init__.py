"""What is learnt and judged: pair tables, labels, models, metrics, pictures, rounds."""

import pipeline  # noqa: F401  # first of all, so that Ctrl-C ends what follows in one line
