"""Pair potentials with compiled energies and forces, behind ASE's calculator."""
