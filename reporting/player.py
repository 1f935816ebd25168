"""TLS that the report's page plays: the particles of each image of the path, and V with both levels beside them."""

import base64
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from glass.arrays import Array, minimum_image, without_drift
from glass.path import mass_weighted, path_lengths
from pipeline.formats.configurations import MinimumError
from pipeline.formats.keys import PAIR_COLUMNS, Pair
from pipeline.formats.records import path_file, read_images
from pipeline.settings import Settings
from pipeline.units import Units
from pipeline.workspace import QS, StatePoint
from reporting.profiles import Wells, amplitude_in_words, wells_of_record
from reporting.tls_pictures import cluster_of
from search.calculated import records_of

IMAGES = 21  # largest number of images of a path that the page holds; between two the particles go straight
STEP = 1e-3  # places are rounded to this fraction of the unit of length
NARROW, WIDE = 100, 1000  # points of the curve, and parts into which the axes are cut


def playable(at: StatePoint, tls: pd.DataFrame, settings: Settings) -> list[dict[str, Any]]:
    """Each TLS whose record and images are kept, as the page's script plays it: id, name, facts, motion, profile."""
    found, unit = [], settings.unit
    for row, record in zip(tls.to_dict("records"), records_of(at, tls), strict=True):
        pair = Pair(*(row[name] for name in PAIR_COLUMNS))
        wells = wells_of_record(record) if record else None
        motion = _motion_of_path(at, pair) if wells else None
        if wells and motion:
            facts = [f"splitting {row[QS]:.3g} {unit.energy} = {row['splitting_K']:.3g} K"]
            if np.isfinite(row["tunnelling_amplitude"]):
                facts.append(amplitude_in_words(row["tunnelling_amplitude"], unit))
            for name, what, of in (
                ("barrier", "barrier", f" {unit.energy}"),
                ("asymmetry", "asymmetry", f" {unit.energy}"),
                ("PR", "participation ratio", ""),
            ):
                facts += [f"{what} {row[name]:.3g}{of}"] if np.isfinite(row[name]) else []
            one = {"id": path_file(at, pair).stem, "name": pair.text(at.decimals), "facts": facts, "motion": motion}
            found.append({**one, "profile": _profile(wells, unit)})
    return found


def _motion_of_path(at: StatePoint, pair: Pair) -> dict[str, Any] | None:
    """Places of the particles that are shown, an image a row; None where the images are not kept."""
    try:
        images = read_images(path_file(at, pair))
    except MinimumError:
        return None
    positions, box = np.array([image.positions for image in images]), images[0].box
    shown = cluster_of(images[0], without_drift(positions[0], positions[-1], box))
    apart = minimum_image(positions - positions[0], box)
    apart -= apart.mean(axis=1, keepdims=True)
    places = (shown.places + apart[:, shown.particles]) @ shown.axes.T
    places -= places[[0, -1], : shown.moving].mean(axis=(0, 1))
    chosen = np.unique(np.linspace(0, len(images) - 1, IMAGES).round().astype(int))
    lengths = path_lengths(mass_weighted(apart, images[0].system.masses))  # as of V
    return {
        "places": base64.b64encode((places[chosen] / STEP).round().astype("<i2").tobytes()).decode(),  # 16 bits each
        "step": STEP,
        "along": [round(float(x), 4) for x in lengths[chosen] / lengths[-1]],
        "moving": shown.moving,
        "radii": [round(float(one) / 2, 3) for one in shown.diameters],
        "colors": [shown.colors[name] for name in shown.species],
    }


def _profile(wells: Wells, unit: Units) -> dict[str, Any]:
    """Curve, images and levels in parts of the axes, from the left and from below; ticks of V."""
    left, width, top = wells.x[0], np.ptp(wells.x), 1.15 * max(wells.energies.max(), wells.levels[1])
    chosen = np.unique(np.linspace(0, len(wells.x) - 1, NARROW).astype(int))

    def drawn(x: Array, energies: Array) -> list[list[int]]:
        across, up = WIDE * (x - left) / width, WIDE * energies / top
        return np.column_stack([across, up]).round().astype(int).tolist()  # type: ignore[no-any-return]

    ticks = [one for one in MaxNLocator(4).tick_values(0, top) if one <= top]
    return {
        "curve": drawn(wells.x[chosen], wells.potential[chosen]),
        "images": drawn(wells.lengths, wells.energies),
        "levels": [round(WIDE * level / top, 1) for level in wells.levels],
        "ticks": [[round(WIDE * one / top), f"{one:g}"] for one in ticks],
        "x": f"mass-weighted path length: {wells.lengths[-1]:.3g} {unit.length} √{unit.mass}",
        "y": f"V − min V ({unit.energy})",
    }
