"""Transitions between minima of a glass: how often a trajectory went straight from one to another."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path

import pandas as pd

from pipeline.files import write_text
from pipeline.formats.configurations import Minimum, Unusable
from pipeline.formats.csv_files import Range, read_user_csv, with_numbers
from pipeline.formats.keys import label, minimum_keys, minimum_names
from pipeline.formats.lammps import energy_in_name
from pipeline.formats.minima import FRAMES
from pipeline.glasses import Glass
from pipeline.messages import note
from pipeline.settings import Settings
from pipeline.stamps import made_from, mark_made, up_to_date
from pipeline.workspace import SAMPLED, all_transitions, minimum_name

_COLUMNS = {"i": Range(), "j": Range(), "count": Range(0)}


def read_transitions(path: Path) -> pd.DataFrame:
    """Transitions of one glass: columns ``i``, ``j`` (names of minima) and ``count``."""
    return with_numbers(path, read_user_csv(path, [*_COLUMNS])[[*_COLUMNS]], _COLUMNS)


def write_transitions(path: Path, counts: Mapping[tuple[str, str], int]) -> None:
    """Write the transitions of one glass, the minima by their energy per particle as text."""
    rows = (f"{i},{j},{count}\n" for (i, j), count in counts.items())
    write_text(path, ",".join(_COLUMNS) + "\n" + "".join(rows))


def update_transitions(
    path: Path, found: Sequence[Minimum | Unusable], glass: Glass, settings: Settings, name: str
) -> None:
    """Count how often a trajectory went from one minimum straight to another; a file that the user wrote stays.

    Frames of a file are in time order where ``minima.time_order`` says so, or it says nothing and the file comes back
    to a minimum after another. Where it says so, files of one frame are too, by the numbers in their names unless these
    are energies. A frame that is none cuts the trajectory in two. Where nothing is in time order the file goes.
    """
    if path.exists() and not up_to_date([path], made_from([])):
        return
    time_order = settings.minima.time_order
    single: list[str] = []
    trajectories: list[list[str]] = [single]
    for file, some in groupby(found, lambda one: minimum_name(one.place.path)):
        frames = list(some)
        if file == FRAMES or re.fullmatch(SAMPLED, file):
            continue  # each minimum once, in no order of time; transitions of the latter stand elsewhere
        one = frames[0]
        if len(frames) > 1:
            trajectories.append([one.name for one in frames])
        elif not (isinstance(one, Minimum) and energy_in_name(one.place.path) == one.energy):
            single.append(one.name)
    single.sort(key=lambda name: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)])
    counts: Counter[tuple[int, int]] = Counter()
    ordered = False
    for names in trajectories if time_order else trajectories[1:]:
        visited = [glass.indices.get(name, -1) for name in names]
        came = [one for one, before in zip(visited, [None, *visited], strict=False) if one != before and one >= 0]
        if (time_order and len(names) > 1) or (time_order is None and len(set(came)) < len(came)):
            ordered = True
            counts.update((i, j) for i, j in pairwise(visited) if i >= 0 and j >= 0 and i != j)
    if not ordered:
        path.unlink(missing_ok=True)
        return
    texts = [label(one, settings.ij_decimals) for one in minimum_names(glass.keys, settings.ij_decimals)]
    write_transitions(path, {(texts[i], texts[j]): count for (i, j), count in sorted(counts.items())})
    mark_made([path], made_from([]))
    note(f"{name}: {counts.total()} transitions in time order: {path}")


def read_counts(path: Path, glass: Glass, decimals: int, name: str) -> "pd.Series[float] | None":
    """Counts by i · n_minima + j, the indices of the two minima, under whichever energy these were seen."""
    if not path.exists():
        return None
    paths = all_transitions(path)
    transitions = pd.concat(map(read_transitions, paths), ignore_index=True)
    places = pd.Series(glass.others | {int(key): at for at, key in enumerate(glass.keys)})
    keys = (minimum_keys(transitions[name], decimals) for name in ("i", "j"))
    one, other = (places.reindex(some, fill_value=-1).to_numpy() for some in keys)
    known = (one >= 0) & (other >= 0)
    if not known.all():
        lost = transitions["count"][~known].sum()
        said = f"{lost:g} transitions from or to unknown minima, in {(~known).sum()} rows, are left out"
        note(f"{name}: {said}: {', '.join(map(str, paths[:2]))}{', …' * (len(paths) > 2)}")
    known &= one != other
    return transitions["count"].astype(float)[known].groupby((one * len(glass.keys) + other)[known]).sum()
