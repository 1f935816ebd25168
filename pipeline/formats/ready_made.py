"""Tables that users write, ready-made pair tables and pretraining sets: what is checked before they are believed."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError, short
from pipeline.formats.keys import PAIR_COLUMNS, minimum_keys
from pipeline.formats.pair_tables import (
    MADE,
    MAY_BE_UNKNOWN,
    NEEDED,
    UNITS,
    as_frame,
    check_columns,
    feature_columns,
    open_table,
    record_batches,
)
from pipeline.messages import counted
from pipeline.units import Units, check_same_units

LARGEST = 1e9  # no box is so long, in any unit, nor does any glass have so many particles
_GEOMETRY = re.compile(r"displacement_\d+|0to\d+|total_displacement|PR")  # lengths or counts: 0 to LARGEST
_NO_NAME = re.compile(r'.*[,"\[\]{}:\x00-\x1f\x7f].*|\s*', re.DOTALL)  # names that a CSV or LightGBM can't hold
_EXACT = 2.0**53  # whole numbers from here on are not exact in a column of floats
_FINITE = float(np.finfo(np.float64).max)


def checked_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Rows of a table that a user wrote, as :func:`pipeline.formats.pair_tables.read_batches` does, or UserError."""
    schema = open_table(path).schema
    columns = [*PAIR_COLUMNS, *feature_columns(schema)] if columns is None else list(columns)
    check_columns(path, schema, columns)
    row = 0
    for batch in record_batches(path, columns):
        if "conf" in columns:
            _check_glass_numbers(path, batch["conf"], row)
        rows = as_frame(batch, columns)
        _check_numbers(path, rows, row)
        yield rows
        row += len(rows)


def _check_glass_numbers(path: Path, column: pa.Array, offset: int) -> None:
    """Raise UserError unless all can be int64 without loss."""
    values = pc.cast(column.dictionary_decode() if pa.types.is_dictionary(column.type) else column, pa.float64(), False)
    numbers = values.to_numpy(zero_copy_only=False)
    largest = _EXACT if pa.types.is_floating(column.type) else 1e18
    bad = ~((numbers >= 0) & (numbers < largest) & (numbers == np.rint(numbers)))
    if bad.any():
        row = int(np.argmax(bad))
        too_large = numbers[row] >= largest and np.isfinite(numbers[row])
        what = "not exact in a column of floats: give integers" if too_large else "not a whole number from 0 on"
        raise UserError(f"{path}: row {offset + row}: conf = {column[row].as_py()} is {what}; fix the row")


def _check_numbers(path: Path, rows: pd.DataFrame, offset: int) -> None:
    """Raise UserError unless all numbers are there, where they must be known, finite and possible."""
    for name in rows.columns.drop("conf", errors="ignore"):
        values = rows[name].to_numpy()
        of_geometry = _GEOMETRY.fullmatch(name)
        low, high = (0.0, LARGEST) if of_geometry else (-_FINITE, _FINITE)
        bad = ~((values >= low) & (values <= high))
        if name in MAY_BE_UNKNOWN:
            bad &= ~np.isnan(values)
        if bad.any():
            row = int(np.argmax(bad))
            said = " is not a finite number"
            if np.isfinite(values[row]):
                said = f" = {values[row]} is not from 0 to {LARGEST:g}"
            raise UserError(f"{path}: row {offset + row}: {short(name)}{said}; fix the row or take it out")


def is_of_step_0(path: Path) -> bool:
    """Whether step 0 made a table, which its own metadata says."""
    return MADE in (open_table(path).schema.metadata or {})


def check_units(path: Path, units: Units) -> None:
    """Raise UserError if a table's column ``units`` (without one: reduced), or step 0 that made it, says others."""
    reader = open_table(path)
    if is_of_step_0(path):
        found = {reader.schema.metadata[MADE].decode(errors="replace")}
    elif UNITS in reader.schema.names:
        found = {str(name) for batch in record_batches(path, [UNITS]) for name in batch[UNITS].unique().to_pylist()}
    else:
        found = {"reduced"}
    if len(found) != 1:
        raise UserError(f"{path}: its column {UNITS} holds {len(found)} different values; all rows must be in the same")
    remedy = f'if it is in {units.name} ones, give it a column {UNITS} with "{units.name}" in each row'
    check_same_units(path, found.pop(), units, remedy)


def check_ready_made(path: Path, decimals: int) -> dict[str, Any]:
    """Check a pair table that step 0 did not make, row by row: its number of ``pairs``, and its ``glasses``."""
    schema = open_table(path).schema
    check_columns(path, schema, NEEDED)
    for name in feature_columns(schema):
        if _NO_NAME.fullmatch(name):
            raise UserError(
                f"{path}: column {short(name)!r} can't be the name of a feature; take out , \" [ ] {{ }} : and the like"
            )
    rounded = [name for name in ("i", "j") if schema.field(name).type in (pa.float16(), pa.float32())]
    row, hashes, glasses = 0, [], set[int]()
    for rows in checked_batches(path):
        if (rows[rounded] % 1 != 0).any(axis=None):
            said = f"column {rounded[0]} holds numbers of single precision, whose digits do not tell minima apart"
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
