"""Formats of text in which minima stand, many in a file, and what their columns hold."""
