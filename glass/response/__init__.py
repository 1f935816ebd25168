"""Response of a glass and its double wells: to strain, in vibrations, to heat and sound."""
