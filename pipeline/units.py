"""The units in which a workspace's files give lengths, energies and masses."""

from typing import NamedTuple


class Units(NamedTuple):
    """Symbols of the units, for labels and printed lines."""

    name: str
    length: str
    energy: str
    mass: str


UNITS = {"reduced": Units("reduced", "σ", "ε", "m")}
"""By their name in ``config.yaml``."""
