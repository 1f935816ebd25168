"""Rearrangements: their numbers, what is known of each, pairs that represent them, and the particles that move."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import polars as pl
from ase.data import chemical_symbols
from numpy.typing import NDArray

from glass.arrays import Array, Index
from glass.overlap import find_rearrangements, most_displaced, participation
from pipeline.files import atomic_write
from pipeline.formats.keys import KEYS, PAIR_COLUMNS, minimum_keys, rows_in
from pipeline.formats.pair_lists import read_list
from pipeline.formats.pair_tables import TLS_PROBABILITY
from pipeline.formats.results import last_results, pairs_with_result
from pipeline.matching import read_displacements, rows_with_minima
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.stamps import Inputs, made_from, mark_made, up_to_date
from pipeline.workspace import DW, QS, StatePoint
from search.likes import SOFTENING, Process, covariance, glasses_of

REARRANGEMENT = "rearrangement"  # column of their numbers at a temperature, from 1; 0 where the minima are not there
_NOT_NUMBERED = pl.lit(0, pl.Int64).alias(REARRANGEMENT)
_NUMBERED = pl.Schema({**dict.fromkeys(KEYS, pl.Int64), REARRANGEMENT: pl.Int64})


def number_rearrangements(
    at: StatePoint, pairs: pd.DataFrame | pl.DataFrame, settings: Settings, keep: bool = True
) -> Index:
    """Number of the rearrangement of each pair, the same in all lists and whenever it is asked for.

    The numbers are kept, of all pairs that were ever asked for. New pairs of a glass are compared with all: a
    rearrangement keeps its number, two that a new pair links take the lower one, a new one takes the next that is free.

    ``keep``: whether the numbers of new pairs are kept; one process at a time may do so. Returns shape (n_pairs,), 0
    where a minimum is not there.
    """
    conf, numbers = pairs["conf"].to_numpy(), np.zeros(len(pairs), np.int64)
    with_minima = rows_with_minima(at, conf)
    if not len(with_minima):
        return numbers
    one, other = (minimum_keys(pairs[name].to_numpy()[with_minima], at.decimals) for name in ("i", "j"))
    keys = conf[with_minima], np.minimum(one, other), np.maximum(one, other)
    asked = pl.DataFrame(dict(zip(KEYS, keys, strict=True)), schema_overrides=_NUMBERED)
    before, inputs = _read_numbers(at, settings)
    numbered = before
    every_new = asked.join(before, KEYS, "anti").unique(maintain_order=True).with_columns(_NOT_NUMBERED)
    for (glass,), new in sorted(every_new.group_by("glass")):
        here = pl.concat([numbered.filter(pl.col("glass") == glass), new])
        known = read_displacements(at, int(glass), *(here[name].to_numpy() for name in KEYS[1:]))
        if known is None or known.rows[-1] < len(here) - len(new):
            continue  # no new pair has both its minima
        its_numbers = here[REARRANGEMENT].to_numpy()
        old, none = its_numbers[known.rows], np.iinfo(np.int64).max
        labels = find_rearrangements(known.displacements, settings.rearrangements.overlap, np.where(old > 0, old, -1))
        lowest = np.full(labels.max() + 1, none)
        np.minimum.at(lowest, labels[old > 0], old[old > 0])
        is_new = lowest == none
        lowest[is_new] = 1 + numbered[REARRANGEMENT].to_numpy().max(initial=0) + np.arange(is_new.sum())
        merged = np.arange(its_numbers.max() + 1)
        np.minimum.at(merged, old[old > 0], lowest[labels[old > 0]])
        its_numbers = merged[its_numbers]
        its_numbers[known.rows] = lowest[labels]
        here = here.with_columns(pl.Series(REARRANGEMENT, its_numbers)).filter(pl.col(REARRANGEMENT) > 0)
        numbered = pl.concat([numbered.filter(pl.col("glass") != glass), here])
    if keep and len(numbered) > len(before):
        with atomic_write(at.rearrangement_numbers) as part:
            numbered.write_ipc(part)
        mark_made([at.rearrangement_numbers], inputs)
    found = asked.join(numbered, KEYS, "left", maintain_order="left")[REARRANGEMENT]
    numbers[with_minima] = found.fill_null(0).to_numpy()
    return numbers


def _read_numbers(at: StatePoint, settings: Settings) -> tuple[pl.DataFrame, Inputs]:
    """The numbers that were kept, and what they are made from; none where that changed."""
    inputs = made_from([], overlap=settings.rearrangements.overlap, ij_decimals=at.decimals)
    path = at.rearrangement_numbers
    return pl.read_ipc(path) if up_to_date([path], inputs) else _NUMBERED.to_frame(), inputs


def count_rearrangements(at: StatePoint, settings: Settings, new: pd.MultiIndex | None = None) -> pd.DataFrame:
    """Known results of each rearrangement that was numbered, largest first; ``new``: pairs whose results are new.

    By number: ``pairs``, and of these ``calculated``, ``double_wells`` and ``tls``; ``calculated_before`` and
    ``tls_before``, without the new results; ``expected``, the largest probability of a TLS among its pairs on the list
    that have no result.
    """
    numbered = _read_numbers(at, settings)[0].to_pandas().set_index(KEYS)
    results = last_results(at).reindex(numbered.index)
    calculated, tls = results[DW].notna(), results[QS] < settings.tls_threshold
    before = ~numbered.index.isin([] if new is None else new)
    columns = {
        REARRANGEMENT: numbered[REARRANGEMENT],
        "pairs": 1,
        "calculated": calculated,
        "double_wells": results[DW] == 1,
        "tls": tls,
        "calculated_before": calculated & before,
        "tls_before": tls & before,
    }
    known = pd.DataFrame(columns, numbered.index).groupby(REARRANGEMENT).sum().astype(int)
    known["expected"] = 0.0
    if at.predicted("newpairs").exists():
        listed = [*PAIR_COLUMNS, REARRANGEMENT, TLS_PROBABILITY]
        left = read_list(at.predicted("newpairs"), listed, "step4_predict_qs.py")
        if len(numbered) < (left[REARRANGEMENT] > 0).sum():  # numbers that were given anew since lack most of the list
            return known[:0]
        left = left[~rows_in(left, pairs_with_result(at), at.decimals)]
        largest = left.groupby(REARRANGEMENT)[TLS_PROBABILITY].max()
        known["expected"] = largest.reindex(known.index, fill_value=0.0)
    return known.sort_values("pairs", ascending=False, kind="stable")


def summary_of(known: pd.DataFrame) -> dict[str, float]:
    """Numbers of ``rounds.csv`` (doc/files.md), from what :func:`count_rearrangements` gives."""
    has_result, has_tls = known["calculated"] > 0, known["tls"] > 0
    return {
        "new_rearrangements": int((has_result & (known["calculated_before"] == 0)).sum()),
        "new_rearrangements_tls": int((has_tls & (known["tls_before"] == 0)).sum()),
        "rearrangements": len(known),
        "rearrangements_calculated": int(has_result.sum()),
        "rearrangements_tls": int(has_tls.sum()),
        "rearrangement_tls_pairs": int(known["tls"].sum()),
        "expected_calculated": float(known.loc[has_result & ~has_tls, "expected"].sum()),
        "expected_others": float(known.loc[~has_result, "expected"].sum()),
    }


def rearrangements_in_words(summary: Mapping[str, float]) -> str:
    """Sentence on the rearrangements known, and in how many more a TLS is expected: their largest chances added up."""
    every, calculated, with_tls, pairs = (
        int(summary[name])
        for name in ("rearrangements", "rearrangements_calculated", "rearrangements_tls", "rearrangement_tls_pairs")
    )
    hold = f"{with_tls} hold{'s' * (with_tls == 1)} TLS" + f", in {counted(pairs, 'pair')}" * (with_tls > 0)
    said = f"{counted(every, 'rearrangement')}, {calculated} calculated; {hold}"
    expected = [f"in the other {every - calculated}: {summary['expected_others']:.1f}"] * (every > calculated)
    without = calculated - with_tls
    expected += [f"in the {without} calculated without TLS: {summary['expected_calculated']:.1f}"] * (without > 0)
    return said + "; expected " * bool(expected) + ", ".join(expected)


ALIKE = Process(1.0, 50, 1.0, 0.2)  # how much a result is taken to say of others, in representatives
SAMPLE = 2000  # largest number of pairs of a glass that are compared there, drawn at random, results first


def representatives(
    at: StatePoint,
    pairs: pd.DataFrame,
    has_result: NDArray[np.bool_],
    chance: Array,
    settings: Settings,
    count: int = 0,
    keep: bool = True,
) -> Index:
    """Rows of the pairs whose results tell most of the others, in the order in which they are to be calculated.

    First one of each rearrangement that has no result, of the largest rearrangement first; then those after which the
    variances that a Gaussian process leaves the others have the smallest sum, one after the other (an A-optimal
    design). Each of the others counts by its chance. Pairs whose minima are not there are left out. ``pairs``, by pair;
    ``has_result`` and ``chance`` of a double well, shape (n_pairs,); ``count``: largest number of pairs beyond one of
    each rearrangement; ``keep`` as of :func:`number_rearrangements`.
    """
    numbers, chosen = number_rearrangements(at, pairs, settings, keep), []
    rng, chance = np.random.default_rng(settings.seed), np.where(has_result, 0, chance)
    low, high = (pairs.index.get_level_values(name).to_numpy() for name in KEYS[1:])
    for rows, known in glasses_of(at, pairs):
        done, weight, particles = has_result[rows], chance[rows], len(known.system.types)
        apart = particles * (high - low)[rows] / 10**at.decimals
        some = np.argsort(rng.random(len(rows)) - 0.5 * done)[:SAMPLE]
        fields = known.displacements.fields(some).astype(float)
        places = np.log(apart[some] + SOFTENING * settings.unit.epsilon)
        likeness = covariance(ALIKE, fields @ fields.T, places, places)
        gain = np.where(done, np.inf, weight * ALIKE.noise**2)
        gain[some] = np.where(done[some], np.inf, likeness**2 @ weight[some])
        order = np.lexsort((-gain, numbers[rows]))
        _, first, size = np.unique(numbers[rows[order]], return_index=True, return_counts=True)
        is_free = ~done[order[first]]
        first, size = order[first[is_free]], size[is_free]
        taken = np.flatnonzero(done[some] | np.isin(some, first))
        then, told = np.array([*_most_telling(likeness, weight[some], taken, count)]).reshape(-1, 2).T
        chosen.append((np.zeros(len(first)), -size, rows[first]))
        chosen.append((np.ones(len(then)), -told, rows[some[then.astype(np.int64)]]))
    turn, value, row = map(np.concatenate, zip(*chosen, strict=True)) if chosen else np.empty((3, 0), np.int64)
    return np.asarray(row[np.lexsort((row, value, turn))])


def _most_telling(likeness: Array, weight: Array, known: Index, count: int) -> Iterator[tuple[int, float]]:
    """Pairs that take away most of the variance which the known ones leave, and how much each takes away."""
    noise = ALIKE.noise**2
    among = likeness[np.ix_(known, known)] + noise * np.eye(len(known))
    left = likeness - likeness[:, known] @ np.linalg.solve(among, likeness[known])
    free = np.ones(len(left), bool)
    free[known] = False
    for _ in range(min(count, int(free.sum()))):
        told = np.where(free, (left**2 @ weight) / (left.diagonal() + noise), -1)
        one = int(told.argmax())
        yield one, float(told[one])
        free[one] = False
        left -= np.outer(left[one], left[one] / (left[one, one] + noise))


def describe_motion(at: StatePoint, pairs: pd.DataFrame, particles: int) -> pd.DataFrame:
    """PR of each pair of a table by pair, and who moves most, ids ``particle_k`` and ``species_k``."""
    ids, names = ([f"{name}_{k}" for k in range(particles)] for name in ("particle", "species"))
    found = [pd.DataFrame(columns=["PR", *ids, *names], dtype=object)]
    for rows, known in glasses_of(at, pairs):
        fields = known.displacements.fields(np.arange(len(rows)))
        first = most_displaced(fields, particles)
        species = species_names(known.system.types, known.system.numbers)[first]
        values = np.column_stack([participation(fields), known.system.particle_ids[first], species])
        found.append(pd.DataFrame(values, rows, ["PR", *ids[: first.shape[1]], *names[: first.shape[1]]]))
    every = pd.concat(found).reindex(range(len(pairs))).set_index(pairs.index)
    return every.astype({"PR": float, **dict.fromkeys(ids, "Int64")})


def species_names(types: NDArray[np.int32], numbers: NDArray[np.int32]) -> NDArray[np.object_]:
    """Chemical symbols, or types where no element is known; shape (N,), as both."""
    found = [
        chemical_symbols[number] if number else f"type {kind}" for kind, number in zip(types, numbers, strict=True)
    ]
    return np.array(found, object)


def distinct(double_wells: pd.DataFrame) -> pd.DataFrame:
    """The first of some double wells in each rearrangement; without minima nobody knows which are one."""
    return double_wells[double_wells[REARRANGEMENT] > 0].drop_duplicates(["conf", REARRANGEMENT])


def each_once(numbers: Index, has_result: Index) -> Index:
    """Order with the first pair of each rearrangement without a result, and all pairs of number 0, before all others.

    ``numbers`` are those of the pairs of a list in its order, ``has_result`` those that have a result.
    """
    first = np.zeros(len(numbers), bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    first = (first & ~np.isin(numbers, has_result)) | (numbers == 0)
    return np.argsort(~first, kind="stable")
