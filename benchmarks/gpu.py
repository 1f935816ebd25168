"""``neb.batched`` on a GPU: python -m benchmarks.gpu WORKSPACE FILE.csv [numpy], of pairs conf,i,j of one glass."""

import importlib.util
import sys
import time
from itertools import repeat
from pathlib import Path

from benchmarks.neb import listed_pairs, verdict_by
from glass.batches import Batched, together
from glass.soft_spheres import C0, C2, C4, CUTOFF, pair_diameter

on_gpu = "numpy" not in sys.argv
if on_gpu and not (importlib.util.find_spec("cupy") and importlib.import_module("cupy").cuda.is_available()):
    sys.exit("skipped: no CuPy, or no GPU")
xp, calls = importlib.import_module("cupy" if on_gpu else "numpy"), list[int]()


def soft_spheres(atoms, images):  # type: ignore[no-untyped-def]
    """Energies and forces, all pairs by the nearest image."""
    calls.append(len(images))
    box, sizes, places = xp.asarray(atoms.cell.lengths()), xp.asarray(atoms.arrays["diameters"]), xp.asarray(images)
    steps = places[:, :, None] - places[:, None]
    steps -= box * xp.rint(steps / box)
    r2 = (steps**2).sum(-1) + 1e9 * xp.eye(len(sizes))
    x = pair_diameter.py_func(sizes[:, None], sizes) ** 2 / r2
    near, x3 = x > CUTOFF**-2, x * x * x
    found = [(near * (x3 * x3 + C0 + (C2 + C4 / x) / x)).sum((1, 2)) / 2]
    found += [((near * 2 * (6 * x3 * x3 - (C2 + 2 * C4 / x) / x) / r2)[..., None] * steps).sum(2)]
    return [one.get() for one in found] if on_gpu else found


pairs, first = listed_pairs(Path(sys.argv[1]), "0.12", Path(sys.argv[2]), 36), list[tuple[str, float]]()
for at_most, width in ((1, 1), (64, 1), (64, 12)):
    way = verdict_by(repeat(Batched(soft_spheres, at_most)).__next__)
    calls, started = [], time.perf_counter()
    found = together(lambda pair, way=way: way(*pair, 41), pairs, width)  # type: ignore[misc]
    seconds, first = time.perf_counter() - started, first or found
    same = sum(a[0] == b[0] and not abs(a[1] / b[1] - 1) > 0.01 for a, b in zip(found, first, strict=True))
    print(f"{len(calls)} calls of {sum(calls) / len(calls):.1f}: {seconds:.1f} s; {same} of {len(pairs)} as singly")
