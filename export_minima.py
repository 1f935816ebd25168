"""Write the minima of each glass as one extended XYZ file, which ASE and OVITO open.

Reads    Configurations/minima/T{T}/Cnf-{conf}/
Writes   output_ML/T{T}/minima/Cnf-{conf}.extxyz

A frame is a minimum, the lowest energy first: total energy, ``name`` (its i or j in the tables), diameters, radius,
types, masses, elements where known. Minima that step 0 would reject are named and passed over.

Example  python export_minima.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint, glass_of, inputs_of, minimum_paths

if __name__ == "__main__":
    check_command_line(__doc__)

from functools import partial
from pathlib import Path
from typing import NamedTuple

from ase.calculators.singlepoint import SinglePointCalculator

from pipeline.errors import UserError
from pipeline.formats.configurations import Minimum
from pipeline.formats.frames import to_atoms
from pipeline.formats.keys import minimum_names
from pipeline.formats.minima import read_minima
from pipeline.formats.path_images import write_frames
from pipeline.formats.relaxed import superseded
from pipeline.formats.table_record import LEFT_OUT
from pipeline.glasses import load_glass
from pipeline.messages import counted, detail, note, nothing_new
from pipeline.progress import progress
from pipeline.settings import Settings
from pipeline.stamps import Inputs, made_from, mark_made, up_to_date
from pipeline.workers.pool import worker_pool


class Job(NamedTuple):
    """One glass: its name in messages, the files of its minima, and where they shall stand."""

    name: str
    files: list[Path]
    target: Path
    inputs: Inputs


def main(command: Command) -> None:
    """Write the glasses of every temperature that has minima."""
    temperatures = command.temperatures(
        lambda at: at.has_glasses, "no minima under Configurations/minima/T…/Cnf-…; put them there"
    )
    command.for_each_temperature(temperatures, lambda at: export(command, at))


def export(command: Command, at: StatePoint) -> None:
    """Write the glasses of one temperature whose files are missing or out of date."""
    settings = command.settings
    glasses = at.glasses
    if not glasses:
        raise UserError(f"{at.minima}: no glass in it; put folders Cnf-{{number}} there")
    jobs = []
    for conf, folder in glasses.items():
        files, target, name = minimum_paths(folder), at.exported_minima(conf), f"T = {at.temperature}: Cnf-{conf}"
        if not files:
            target.unlink(missing_ok=True)
            note(f"{name}: nothing in it: {folder}")
            continue
        job = Job(
            name,
            files,
            target,
            made_from(
                inputs_of(files),
                ij_decimals=settings.ij_decimals,
                units=settings.units,
                minima=settings.minima.model_dump(),
            ),
        )
        if up_to_date([target], job.inputs):
            detail(f"{name}: nothing new: {target}")
        else:
            jobs.append(job)
    if not jobs:
        nothing_new(at.temperature, "nothing new")
        return
    with (
        progress(desc=f"T = {at.temperature}", total=len(jobs), unit="glass") as bar,
        worker_pool(settings, len(jobs)) as workers,
    ):
        for lines in workers.results(partial(write_glass, settings=settings), jobs, in_order=True):
            note("\n".join(lines))
            bar.update()


def write_glass(job: Job, settings: Settings) -> list[str]:
    """Write the usable minima of one glass, a job for a worker; the lines to print of it."""
    read = read_minima(job.files, settings.reading)
    decimals, gone = settings.ij_decimals, superseded(glass_of(job.files[0]))
    glass, fates = load_glass(read, decimals, settings.minima, settings.pairs.max_delta_E, gone=gone)
    lines = [f"{job.name}: left out: {name}: {one.reason}" for name, one in fates.items() if one.status == LEFT_OUT]
    if glass is None:
        job.target.unlink(missing_ok=True)
        return [*lines, f"{job.name}: no usable minimum"]
    minima = {one.name: one for one in read if isinstance(one, Minimum)}
    frames = []
    for file, name in zip(glass.files, minimum_names(glass.keys, decimals).tolist(), strict=True):
        atoms = to_atoms(minima[file])
        atoms.info |= {"name": name, "units": settings.units}
        atoms.calc = SinglePointCalculator(atoms, energy=len(atoms) * minima[file].energy)
        frames.append(atoms)
    write_frames(job.target, frames)
    mark_made([job.target], job.inputs)
    return [*lines, f"{job.name}: {counted(len(frames), 'minimum')}: {job.target}"]


if __name__ == "__main__":
    run_script(main, __doc__)
