"""Which pairs are calculated, their exact calculation, what was found, and when to stop."""
