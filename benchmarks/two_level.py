"""How sound the tunnelling amplitude of the symmetrised well is, on the double wells calculated in a workspace.

python -m benchmarks.two_level DIR -T 0.12
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from glass.tunnelling import tilted_states
from glass.two_level import symmetrised, two_level
from pipeline.formats.records import profile_of_record, read_records
from pipeline.settings import Settings
from pipeline.workspace import Workspace


def main() -> None:
    """Print how E follows from Δ₀ and the tilt, and what other definitions give."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("-T", default="0.12")
    given = parser.parse_args()
    rows = []
    latest = {(one["conf"], one["i"], one["j"]): one for one in read_records(Workspace(given.workspace).at(given.T))}
    for record in latest.values():
        profile, hbar = profile_of_record(record), record["hbar"]
        started = time.process_time()
        system, levels = two_level(profile, record["levels"], hbar), record["levels"]
        seconds, tilted = time.process_time() - started, symmetrised(profile, hbar)
        asymmetry = float(profile.energies[-1] - profile.energies[0])
        _, equal, _ = tilted_states(profile, hbar)(asymmetry / profile.lengths[-1])
        splitting = levels[1] - levels[0]
        rows.append(
            {
                "E": splitting,
                "amplitude": tilted.amplitude,
                "in both wells": np.isfinite(system.asymmetry),
                "E of Δ₀ and F d": abs(np.hypot(tilted.amplitude, tilted.tilt * tilted.distance) / splitting - 1),
                "equal minima": (equal[1] - equal[0]) / max(tilted.amplitude, 1e-12),
                "asymmetry": asymmetry,
                "seconds": seconds,
            }
        )
    table = pd.DataFrame(rows)
    print(f"{len(table)} double wells, {1000 * table['seconds'].median():.0f} ms of CPU time each")
    print(f"without Δ₀: {table['amplitude'].isna().sum()}; Δ₀ > E: {(table['amplitude'] > 1.0001 * table['E']).sum()}")
    kinds = {"TLS": table["E"] < Settings().tls_threshold, "one level in each well": table["in both wells"]}
    for name, which in kinds.items():
        some = table[which & table["amplitude"].notna()]
        print(f"{name}: {len(some)}")
        print(f"  (Δ₀² + F² d²)^½ / E − 1: {_spread(some['E of Δ₀ and F d'])}")
        print(f"  splitting where the minima are equal / Δ₀: {_spread(some['equal minima'])}")
        print(f"  E < asymmetry of the minima: {(some['E'] < some['asymmetry'].abs()).sum()}")


def _spread(values: "pd.Series[float]") -> str:
    names = {"median": 0.5, "10 %": 0.1, "90 %": 0.9, "largest": 1.0}
    return ", ".join(f"{name} {values.quantile(part):.2g}" for name, part in names.items())


if __name__ == "__main__":
    main()
