"""What the step scripts share: reading minima, pair tables, labels, models and figures."""
