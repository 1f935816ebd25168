"""What is learnt and judged: pair tables, labels, models, metrics, pictures, rounds."""
