"""The minima of one glass brought together: one system, one order, no drift, and each minimum once."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from scipy.spatial import KDTree

from glass.arrays import Array, Index, brought_near, common_shift, minimum_image
from glass.features import any_geometry
from pipeline.files import file_named
from pipeline.formats.configurations import Minimum, System, Unusable
from pipeline.formats.keys import largest_name, minimum_keys, minimum_names
from pipeline.formats.minima import as_written, is_superseded, superseded
from pipeline.matching import equal_particles, nearest_order, spacing
from pipeline.messages import Progress
from pipeline.settings import MinimaSettings, Settings
from pipeline.stamps import AGAIN, LEFT_OUT, USED, Fate
from pipeline.workspace import glass_of

SAME_PLACE = 5e-4  # default of minima.same_place, in distances between particles; published double wells are longer
DRIFT = 1e-10  # mean displacement, in distances between particles, that is none; dynamics and quenches leave 1e-13
_EXCHANGED = 0.25  # distance to it, in distances between particles, below which a particle is at the place of another
_PROBES = 4  # number of particles whose places tell which minima may be at the same place


@dataclass(frozen=True)
class Glass:
    """The usable minima of one glass, lowest energy first."""

    files: list[str]  # names of their places
    energies: Array  # per particle in ε
    keys: Index  # energies in units of 10^-ij_decimals
    positions: Array  # in σ, shape (n_minima, 3, N), in one order of particles; wrapped into an orthogonal box
    box: Array  # see glass.arrays
    drift: float = 0.0  # largest mean displacement from the lowest minimum in σ; 0 where it is none
    indices: dict[str, int] = field(default_factory=dict)  # of minima by place, also those seen again or relaxed
    others: dict[int, int] = field(default_factory=dict)  # index of the minimum by the keys of those places

    @property
    def n_particles(self) -> int:
        """N."""
        return int(self.positions.shape[2])


def load_glass(
    found: Iterable[Minimum | Unusable],
    folder: Path,
    settings: Settings,
    known: Collection[float] = (),
    mapped_in: Path | None = None,
) -> tuple[Glass | None, dict[str, Fate]]:
    """Bring together the minima of one glass; None where none is usable. Also the fate of each place, by its name.

    ``folder``: that of the glass, where relax_minima.py says which places are no minima; ``known``: names of minima in
    an earlier table, which they keep; ``mapped_in``: folder for a file from which positions are mapped; default: none.
    """
    decimals, gone = settings.ij_decimals, superseded(folder)
    fates: dict[str, Fate] = {}
    minima: list[Minimum] = []
    relaxed: dict[str, float] = {}
    for one in found:
        if isinstance(one, Unusable):
            fates[one.name] = Fate(LEFT_OUT, None, one.reason)
        elif abs(one.energy) > largest_name(decimals):
            said = f"its energy {one.energy:g} is too large to have {decimals} decimals (ij_decimals)"
            fates[one.name] = Fate(LEFT_OUT, None, said)
        elif is_superseded(gone, one.name, one.energy):
            row = gone[as_written(one.name)]
            said = f"no minimum: force {row.max_force:.2g} on a particle; relaxed to {row.became}"
            fates[one.name] = Fate(LEFT_OUT, None, said)
            relaxed[one.name] = one.energy
        else:
            minima.append(one)
    minima = _of_one_system(sorted(minima, key=lambda one: (one.energy, one.name)), fates)
    if not minima:
        return None, fates
    placed = _Placed(minima, settings.minima, fates, mapped_in)
    keys = minimum_keys([one.energy for one in minima], decimals)
    owner = placed.owners(keys, settings, set(minimum_keys([*known], decimals).tolist()))
    keep = sorted(set(owner.values()))
    index = {k: at for at, k in enumerate(keep)}
    indices = {minima[k].name: index[of] for k, of in owner.items()}
    others = {int(keys[k]): index[of] for k, of in owner.items()}
    written = {as_written(name): at for name, at in indices.items()}
    for name, energy in relaxed.items():
        became = as_written(name)
        for _ in range(len(gone)):
            became = gone[became].became if became in gone else became
        if became in written:
            indices[name] = written[became]
            others.setdefault(int(minimum_keys(energy, decimals)), written[became])
    for at, k in enumerate(keep if len(keep) < len(minima) else ()):
        placed.positions[at] = placed.positions[k]
    files, positions = [minima[k].name for k in keep], placed.positions[: len(keep)]
    energies = np.array([minima[k].energy for k in keep])
    return Glass(files, energies, keys[keep], positions, placed.box, placed.drift, indices, others), fates


def _of_one_system(minima: list[Minimum], fates: dict[str, Fate]) -> list[Minimum]:
    """Keep the minima with the particles and the box that most of them have."""
    kinds: list[System] = []
    which = []
    for one in minima:
        recent = range(len(kinds) - 1, max(len(kinds) - 9, -1), -1)
        at = next((k for k in recent if not kinds[k].difference(one.system)), len(kinds))
        kinds += [one.system] if at == len(kinds) else []
        which.append(at)
    if len(kinds) < 2:
        return minima
    most = Counter(which).most_common(1)[0][0]
    for one, kind in zip(minima, which, strict=True):
        if kind != most:
            difference = kinds[most].difference(kinds[kind])
            fates[one.name] = Fate(LEFT_OUT, None, f"another {difference} than most minima of this glass")
    return [one for one in minima if one.name not in fates]


def _array(shape: tuple[int, ...], folder: Path | None) -> Array:
    """Array in memory, or mapped from a file without a name in a folder: what is not looked at takes no memory then."""
    if folder is None:
        return np.empty(shape)
    with file_named(folder), TemporaryFile(dir=folder) as file:
        size = 8 * int(np.prod(shape))  # taken at once: a full disk is an error here, a crash where one writes
        os.posix_fallocate(file.fileno(), 0, size) if hasattr(os, "posix_fallocate") else file.truncate(size)
        return np.asarray(np.memmap(file, np.float64, "r+", shape=shape))


class _Placed:
    """Positions of minima of one system, in one order of particles and near each other.

    ``probes``: coordinates of a few particles, near those of the reference, shape (n_minima, 3 _PROBES). Minima whose
    particles stand in another order get their fates.
    """

    def __init__(
        self, minima: Sequence[Minimum], settings: MinimaSettings, fates: dict[str, Fate], mapped_in: Path | None
    ) -> None:
        self.box, self._minima, self._fates = minima[0].box, minima, fates
        self.spacing = spacing(minima[0])
        self._same_place = settings.same_place or SAME_PLACE * self.spacing
        system, n = minima[0].system, len(minima[0].positions)
        kinds = equal_particles(system)
        unsure = settings.match_atoms is None and not system.ids.any() and len(np.unique(kinds)) < n
        self.positions = _array((len(minima), 3, n), mapped_in)
        self.probes = np.empty((len(minima), 3 * _PROBES))
        chosen = np.linspace(0, n - 1, _PROBES).astype(int)
        first, exchanged = 0, [0] * len(minima)
        tried: dict[int, list[int]] = {}
        for _ in range(3 if unsure else 0):
            tried[first] = self._exchanged(first, kinds)
            if 2 * tried[first].count(0) > len(minima):
                break
            first = next(k for k, count in enumerate(tried[first]) if count)
        if tried:  # the minimum in whose order of particles most stand
            first, exchanged = max(tried.items(), key=lambda one: one[1].count(0))
        reference, drifts = minima[first].positions, np.empty(len(minima))
        for k, one in enumerate(minima):
            places = one.positions
            if exchanged[k]:
                said = f"{exchanged[k]} particles stand in another order than in {minima[first].name}; give their ids, "
                said += "or set minima.match_atoms: true in config.yaml, or false where they have really changed places"
                fates[one.name] = Fate(LEFT_OUT, None, said)
            if settings.match_atoms:
                places = places[nearest_order(reference, places, kinds, self.box, self.spacing)]
            near = brought_near(places, reference, self.box)
            steps = minimum_image(near - reference, self.box)
            drifts[k] = np.linalg.norm((places - near)[0] + steps.mean(0))
            self.positions[k] = near.T
            self.probes[k] = (reference + steps - np.median(steps, axis=0))[chosen].ravel()
        self.drift = float(drifts.max()) if drifts.max() > DRIFT * self.spacing else 0.0
        if self.box.ndim == 1:
            np.mod(self.positions, self.box[:, None], out=self.positions)

    def _exchanged(self, first: int, kinds: Index) -> list[int]:
        """Number of particles of each minimum that lie just where others lie in one of them."""
        reference, counts = self._minima[first].positions, []
        name = glass_of(self._minima[first].place.path).name
        for one in Progress(self._minima, desc=f"{name}: comparing the orders of particles", unit="minimum"):
            order = nearest_order(reference, one.positions, kinds, self.box, self.spacing)
            changed = order != np.arange(len(order))
            steps = one.positions[order] - reference
            steps = minimum_image(steps - common_shift(steps, self.box), self.box) if changed.any() else steps
            near = np.linalg.norm(steps, axis=1) < _EXCHANGED * self.spacing
            count = int((near & changed).sum())
            counts.append(count if count > 1 else 0)
        return counts

    def owners(self, keys: Index, settings: Settings, known: set[int]) -> dict[int, int]:
        """For each minimum that is used or seen again, the one that stands for it; all get their fates."""
        decimals = settings.ij_decimals
        tree, free = KDTree(self.probes), np.array([one.name not in self._fates for one in self._minima])
        owner: dict[int, int] = {}
        taken: dict[int, int] = {}
        for leader in range(len(self._minima)):  # the lowest of all that are at its place
            if not free[leader]:
                continue
            near = np.array(tree.query_ball_point(self.probes[leader], 3 * self._same_place, p=np.inf), np.int64)
            near = np.sort(near[free[near] & (near > leader)])
            if len(near):
                apart = any_geometry(self.positions, self.box, np.full(len(near), leader), near, 1)[:, 0]
                near = near[apart < self._same_place]
            free[near] = False
            members = [leader]
            for k in near.tolist():
                higher = self.positions.shape[2] * (self._minima[k].energy - self._minima[leader].energy)
                if higher > 0.01 * settings.pairs.max_delta_E:  # at one place energies differ by far less than in pairs
                    reason = f"at the same place as {self._minima[leader].name}, but its energy is {higher:.3g} higher"
                    self._fates[self._minima[k].name] = Fate(LEFT_OUT, None, reason)
                else:
                    members.append(k)
            stands = next((k for k in members if int(keys[k]) in known), leader)
            first = taken.setdefault(int(keys[stands]), stands)
            label = float(minimum_names(keys[stands], decimals))
            for k in members:
                if first != stands:
                    fate = Fate(LEFT_OUT, None, f"the same energy to {decimals} decimals as {self._minima[first].name}")
                else:
                    owner[k] = stands
                    fate = Fate(USED, label) if k == stands else Fate(AGAIN, label, self._minima[stands].name)
                self._fates[self._minima[k].name] = fate
        return owner
