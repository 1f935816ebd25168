"""Minima of a glass: a liquid in equilibrium, dynamics from minimum to minimum, and which of these are new."""
