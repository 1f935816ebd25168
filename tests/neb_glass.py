"""A small glass of soft spheres whose pairs are calculated within seconds."""

import pandas as pd
import synthetic
from steps import done

from pipeline.formats.keys import by_pair
from pipeline.formats.results import part_of
from pipeline.workspace import Share

T = "0.15"
DECIMALS = 10
SETTINGS = "neb: {images: 15, force_tolerance: 1.0e-3}\nprocesses: 2\n"


def make_glass(root):
    """Minima of 80 soft spheres, and in ``pairs.csv`` twelve pairs that are near to each other.

    Of each of three shares they are the four nearest.
    """
    options = "--glasses 1 --n-particles 80 --sweeps 500 --quenches 150 --interval 200 --sampling-temperature 0.1"
    done("simulate_glass", root, "-T", T, *options.split())
    (root / "config.yaml").write_text(SETTINGS)
    assert "0 left out" in done("step0_collect", root)
    pairs = synthetic.read_pairs(root, T)
    pairs = pairs[pairs["Delta_E"] < 0.15].sort_values("total_displacement")[["conf", "i", "j"]]
    pairs = by_pair(pairs, DECIMALS)
    nearest = pd.concat(part_of(pairs, Share(number, 3)).head(4) for number in (1, 2, 3))
    nearest.sort_index().to_csv(root / "pairs.csv", index=False)


def minima(root):
    return sorted((root / f"Configurations/minima/T{T}/Cnf-1").glob("*.conf"))


def pairs_of(table):
    return list(table[["conf", "i", "j"]].itertuples(index=False, name=None))


def results(root):
    """All lines of the result files, sorted; not what they cost."""
    folder = root / f"NEB_calculations/T{T}"
    return {path.name: sorted(path.read_text().splitlines()) for path in folder.glob("[!.c]*.*")}
