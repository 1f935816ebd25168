"""What is learnt and judged: pair tables, labels, models, metrics, pictures, rounds."""

import os

# Threads that wait for others sleep: by default they spin, and on a busy machine training takes four times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
