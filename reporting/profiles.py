"""The stored profile of a double well as pictures show it."""

from typing import Any

import numpy as np

from pipeline.formats.keys import Pair
from pipeline.formats.records import profile_of_record, two_level_of_record
from reporting.neb_plots import NebProfile


def profile_to_draw(record: dict[str, Any], hbar: float) -> NebProfile | None:
    """A stored profile as the picture shows it, a little beyond both ends; None for a record of 0.1."""
    profile, system = profile_of_record(record), two_level_of_record(record, hbar)
    if profile is None or system is None:
        return None
    pair, levels = Pair(record["conf"], record["i"], record["j"]), (record["levels"][0], record["levels"][1])
    x = np.linspace(-0.35, 1.35, 500) * profile.lengths[-1]
    drawn = profile.lengths, profile.energies, x, profile(x), levels
    return NebProfile(pair, *drawn, system.one_well, record.get("fidelity", ""))
