"""Pair tables on disk, feather files, read a piece at a time; those that users write are checked."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import UserError, short
from pipeline.formats.keys import PAIR_COLUMNS, largest_name, minimum_keys
from pipeline.messages import counted
from pipeline.settings import ClassifySettings
from pipeline.units import Units, check_same_units
from pipeline.workspace import DW, QS

BATCH = 262_144  # pairs read, computed and written at a time: a step's memory follows from it, not from the table
MADE = b"step0_collect"  # key in the metadata of a table that step 0 made, beside its units; a ready-made one has none
UNITS = "units"  # column of text that names the units of a ready-made table
OUT_OF_FOLD = "out_of_fold"  # column of pairs used for training: prediction by models that saw no pair of their glass
PROBABILITY = "dw_probability"  # column of the probability of a double well
TLS_PROBABILITY = "tls_probability"  # column of the probability of a TLS

NEIGHBOURHOOD = ["nearest_between", "gabriel", "gabriel_between", "nearest_i", "nearest_j"]
"""Columns that :func:`glass.neighbourhood.pair_neighbourhood` gives, in order; only in tables made from minima."""

MAY_BE_UNKNOWN = ("Tij", "Tji", *NEIGHBOURHOOD)  # features that may be missing (NaN) for a pair
NEEDED = [*PAIR_COLUMNS, "Delta_E", "total_displacement"]  # columns of every pair table; step 2 cuts at the last two
_TURNED = ("i", "j"), ("Tij", "Tji"), ("nearest_i", "nearest_j")  # columns that change places where i and j do
_NEVER_FEATURES = {*PAIR_COLUMNS, "T", "i2", "j2", "index", DW, QS, PROBABILITY, TLS_PROBABILITY, OUT_OF_FOLD, UNITS}
_PANDAS_INDEX = "__index_level_"  # how pyarrow names an index that pandas had
LARGEST = 1e9  # no box is so long, in any unit, nor does any glass have so many particles
_GEOMETRY = re.compile(r"displacement_\d+|0to\d+|total_displacement|PR")  # lengths or counts: 0 to LARGEST
_NO_NAME = re.compile(r'.*[,"\[\]{}:\x00-\x1f\x7f].*|\s*', re.DOTALL)  # names that a CSV or LightGBM can't hold
_EXACT = 2.0**53  # whole numbers from here on are not exact in a column of floats
_FINITE = float(np.finfo(np.float64).max)
_SINGLE = (pa.float16(), pa.float32())  # types whose digits do not tell minima apart
FROM_ARROW = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError)  # over damaged files


def open_table(path: Path, columns: Sequence[str] | None = None, mapped: bool = False) -> pa.ipc.RecordBatchFileReader:
    """Open a feather file without reading its rows; ``columns``: those to read when rows are asked for.

    ``mapped``: into memory instead of reading, for rows that are looked up here and there. Raises UserError where the
    file is none, or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path}: not a file; remove it")
    try:
        file = pa.memory_map(str(path)) if mapped else pa.OSFile(str(path))
        reader = pa.ipc.open_file(file)
        names = reader.schema.names  # may be no text
        if columns is None:
            return reader
        fields = [reader.schema.get_field_index(name) for name in columns]
        if min(fields, default=0) < 0:
            raise pa.ArrowKeyError(f"no column {', '.join(set(columns) - set(names))}")
        return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))
    except PermissionError as error:
        raise UserError(f"{path}: can't be opened ({error}); remove it, or allow that") from None
    except FROM_ARROW as error:
        raise UserError(f"{path}: not a feather file, or damaged ({short(error)}); write it again") from None


def _is_numeric(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    kinds = pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal
    return any(is_this(kind) for is_this in kinds)


def under_ceilings(rows: pd.DataFrame, ceilings: ClassifySettings) -> NDArray[np.bool_]:
    """Mask of the pairs that step 2 looks at."""
    low = (rows["Delta_E"] <= ceilings.max_delta_E) & (rows["total_displacement"] <= ceilings.max_distance)
    return np.asarray(low)


def feature_columns(schema: pa.Schema) -> list[str]:
    """The columns a model may learn from: every numeric one that is neither a name nor a target."""
    numeric = [field.name for field in schema if _is_numeric(field.type)]
    return [name for name in numeric if name not in _NEVER_FEATURES and not name.startswith(_PANDAS_INDEX)]


def common_features(paths: Sequence[Path]) -> list[str]:
    """Features that all the pair tables have, in the order of the first."""
    columns = [feature_columns(open_table(path).schema) for path in paths]
    return [name for name in columns[0] if all(name in others for others in columns)]


def read_batches(
    path: Path, columns: Sequence[str] | None = None, chosen: range | None = None
) -> Iterator[pd.DataFrame]:
    """Rows of a table that was checked, or that a step wrote, at most BATCH at a time; one frame at least.

    ``columns``: default the names of the pair and all features. ``chosen``: of the batches in the file. ``conf`` is
    int64, all others float64.
    """
    columns = [*PAIR_COLUMNS, *feature_columns(open_table(path).schema)] if columns is None else columns
    for batch in record_batches(path, columns, chosen=chosen):
        yield _as_frame(batch, columns)


def _as_frame(batch: pa.RecordBatch, columns: Sequence[str]) -> pd.DataFrame:
    """Numeric columns of any type as numbers: ``conf`` as int64, others as float64, NaN where there is none.

    Where ``Delta_E`` is among them and below zero, j is the lower minimum: i and j change places.
    """
    kinds = {"conf": pa.int64()}
    rows = pd.DataFrame({name: _numbers(batch, name, kinds.get(name, pa.float64())) for name in columns})
    if "Delta_E" in rows and (turned := rows["Delta_E"].to_numpy() < 0).any():
        for both in map(list, _TURNED):
            if rows.columns.isin(both).sum() == 2:
                rows.loc[turned, both] = rows.loc[turned, both[::-1]].to_numpy()
        rows["Delta_E"] = rows["Delta_E"].abs()
    return rows


def _numbers(batch: pa.RecordBatch, name: str, kind: pa.DataType) -> NDArray[Any]:
    column = batch[name]
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return np.asarray(pc.cast(column, kind, safe=False).to_numpy(zero_copy_only=False))


def record_batches(
    path: Path, columns: Sequence[str], mapped: bool = False, chosen: range | None = None
) -> Iterator[pa.RecordBatch]:
    """Some columns of a feather file as they are stored there, BATCH rows at most; UserError where that is damaged."""
    reader = open_table(path, columns, mapped)
    for k in range(reader.num_record_batches) if chosen is None else chosen:
        try:
            batch = reader.get_batch(k)
            batch.validate(full=True)  # else a wrong length would be believed, and read beyond
        except FROM_ARROW as error:
            raise UserError(f"{path}: damaged ({short(error)}); write it again") from None
        for start in range(0, max(batch.num_rows, 1), BATCH):
            yield batch.slice(start, BATCH).replace_schema_metadata()  # pandas would read its own, perhaps damaged too


def stored_pairs(path: Path) -> int:
    """Number of rows of a pair table."""
    first = open_table(path).schema.names[:1]
    return sum(batch.num_rows for batch in record_batches(path, first, mapped=True))


def is_of_step_0(path: Path) -> bool:
    """Whether step 0 made a table, which its own metadata says."""
    return MADE in (open_table(path).schema.metadata or {})


def check_units(path: Path, units: Units) -> None:
    """Raise UserError if a table's column ``units`` (without one: reduced), or step 0 that made it, says others."""
    schema = open_table(path).schema
    if is_of_step_0(path):
        found = {schema.metadata[MADE].decode(errors="replace")}
    elif UNITS in schema.names:
        found = {str(name) for batch in record_batches(path, [UNITS]) for name in batch[UNITS].unique().to_pylist()}
    else:
        found = {"reduced"}
    if len(found) != 1:
        raise UserError(f"{path}: its column {UNITS} holds {len(found)} different values; all rows must be in the same")
    remedy = f'if it is in {units.name} ones, give it a column {UNITS} with "{units.name}" in each row'
    check_same_units(path, found.pop(), units, remedy)


def checked_batches(
    path: Path, decimals: int, needed: Sequence[str] = NEEDED, features: bool = True
) -> Iterator[pd.DataFrame]:
    """Rows of a table that a user wrote, as :func:`read_batches` gives them; UserError where a number is impossible.

    Columns: the names of the pair, all features unless left out, and what else is ``needed``.
    """
    schema = open_table(path).schema
    columns = [*PAIR_COLUMNS, *(feature_columns(schema) if features else ())]
    columns += [name for name in needed if name not in columns]
    missing = [name for name in needed if name not in schema.names]
    if missing:
        raise UserError(f"{path}: missing column {', '.join(missing)}; add it (doc/files.md: the pair table)")
    twice = [name for name in columns if schema.names.count(name) > 1]
    if twice:
        raise UserError(f"{path}: column {short(twice[0])} stands there twice; keep one")
    for name in columns:
        kind = schema.field(name).type
        if not _is_numeric(kind) or (name == "conf" and pa.types.is_boolean(kind)):
            raise UserError(f"{path}: column {short(name)} holds {short(kind)}, not numbers; convert it")
    exact = _EXACT if pa.types.is_floating(schema.field("conf").type) else 1e18
    ranges = dict.fromkeys(("i", "j"), (-largest_name(decimals), largest_name(decimals)))
    ranges |= dict.fromkeys(filter(_GEOMETRY.fullmatch, columns), (0.0, LARGEST))
    begin = 0
    for batch in record_batches(path, columns):
        numbers, rows = _numbers(batch, "conf", pa.float64()), _as_frame(batch, columns)
        bad = ~((numbers >= 0) & (numbers < exact) & (numbers == np.rint(numbers)))
        if bad.any():
            row = int(np.argmax(bad))
            too_large = numbers[row] >= exact and np.isfinite(numbers[row])
            what = "not exact in a column of floats: give integers" if too_large else "not a whole number from 0 on"
            raise UserError(f"{path}: row {begin + row}: conf = {batch['conf'][row].as_py()} is {what}; fix the row")
        for name in columns[1:]:
            values, (low, high) = rows[name].to_numpy(), ranges.get(name, (-_FINITE, _FINITE))
            bad = ~((values >= low) & (values <= high)) & ~((name in MAY_BE_UNKNOWN) & np.isnan(values))
            if bad.any():
                row, remedy = int(np.argmax(bad)), "fix the row or take it out"
                said = f" = {values[row]} is not from {low:g} to {high:g}" if np.isfinite(values[row]) else ""
                if said and name in ("i", "j"):
                    remedy = f"lower ij_decimals ({decimals}) in config.yaml, or number the minima of a glass from 1"
                said = said or " is not a finite number"
                raise UserError(f"{path}: row {begin + row}: {short(name)}{said}; {remedy}")
        yield rows
        begin += len(rows)


def check_ready_made(path: Path, decimals: int) -> dict[str, Any]:
    """Check a pair table that step 0 did not make, row by row: its number of ``pairs``, and its ``glasses``."""
    schema = open_table(path).schema
    for name in feature_columns(schema):
        if _NO_NAME.fullmatch(name):
            raise UserError(
                f"{path}: column {short(name)!r} can't be the name of a feature; take out , \" [ ] {{ }} : and the like"
            )
    single = [field.name for field in schema if field.name in ("i", "j") and field.type in _SINGLE]
    row, hashes, glasses = 0, [], set[int]()
    for rows in checked_batches(path, decimals):
        if (rows[single] % 1 != 0).any(axis=None):
            said = f"column {single[0]} holds numbers of single precision, whose digits do not tell minima apart"
            raise UserError(f"{path}: {said}; write the energies as float64")
        i, j = (minimum_keys(rows[name], decimals) for name in ("i", "j"))
        if (i == j).any():
            first = row + int(np.argmax(i == j))
            raise UserError(f"{path}: row {first}: i and j are the same minimum ({decimals} decimals); take it out")
        keys = pd.DataFrame({"conf": rows["conf"], "low": np.minimum(i, j), "high": np.maximum(i, j)})
        hashes.append(pd.util.hash_pandas_object(keys, index=False).to_numpy())  # a number a pair: memory
        glasses.update(rows["conf"].unique().tolist())
        row += len(rows)
    if row == 0:
        raise UserError(f"{path}: no pair in it; remove it or write it again")
    hashed = np.concatenate(hashes)
    ordered = np.sort(hashed)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        rows_of_one = ", ".join(map(str, np.flatnonzero(hashed == repeated[0])[:3]))
        said = f"{counted(len(repeated), 'repeated pair')}, one in rows {rows_of_one}"
        raise UserError(f"{path}: {said}; keep one row for each (conf, i, j)")
    return {"pairs": row, "glasses": sorted(glasses)}
