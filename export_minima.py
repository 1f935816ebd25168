"""Write the minima of each glass as one extended XYZ file, which ASE and OVITO open.

Reads    Configurations/minima/T{T}/Cnf-{conf}/
Writes   output_ML/T{T}/minima/Cnf-{conf}.extxyz

A frame is a minimum, the lowest energy first: total energy, ``name`` (its i or j in the tables), diameters, radius,
types, masses, elements where known. Minima that step 0 would reject are named and passed over.

Example  python export_minima.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint, inputs_of, minimum_paths

if __name__ == "__main__":
    check_command_line(__doc__)

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from pipeline.errors import UserError
from pipeline.formats.configurations import Minimum
from pipeline.formats.frames import to_atoms, write_frames
from pipeline.formats.keys import minimum_names
from pipeline.formats.minima import read_minima
from pipeline.glasses import load_glass
from pipeline.messages import Progress, counted, detail, note, nothing_new
from pipeline.settings import Settings
from pipeline.stamps import LEFT_OUT, made_from, mark_made, stamp_of_unchanged, up_to_date, used_minima


def main(command: Command) -> None:
    """Write the glasses of every temperature that has minima."""
    temperatures = command.temperatures(
        lambda at: at.has_glasses, "no minima under Configurations/minima/T…/Cnf-…; put them there"
    )
    command.for_each_temperature(temperatures, lambda at: export(command, at))


def export(command: Command, at: StatePoint) -> None:
    """Write the glasses of one temperature whose files are missing or out of date."""
    settings, any_new = command.settings, False
    if not at.glasses:
        raise UserError(f"{at.minima}: no glass in it; put folders Cnf-{{number}} there")
    for conf, folder in Progress(at.glasses.items(), desc=f"T = {at.temperature}", unit="glass"):
        name, target = f"T = {at.temperature}: Cnf-{conf}", at.exported_minima(conf)
        if not minimum_paths(folder):
            target.unlink(missing_ok=True)
            note(f"{name}: nothing in it: {folder}")
            continue
        settings_of_it = settings.model_dump(include={"ij_decimals", "units", "minima"})
        inputs = made_from([*inputs_of(folder), at.glass_pairs(conf)], **settings_of_it)
        if up_to_date([target], inputs):
            detail(f"{name}: nothing new: {target}")
            continue
        any_new = True
        if frames := usable_minima(at, conf, settings):
            write_frames(target, frames)
            mark_made([target], inputs)
            note(f"{name}: {counted(len(frames), 'minimum')}: {target}")
        else:
            target.unlink(missing_ok=True)
            note(f"{name}: no usable minimum")
    if not any_new:
        nothing_new(at.temperature, "nothing new")


def usable_minima(at: StatePoint, conf: int, settings: Settings) -> list[Atoms]:
    """The usable minima of one glass under the names of its pair table; which are left out is said."""
    read = read_minima(minimum_paths(at.glass(conf)), settings.reading)
    known = used_minima(stamp_of_unchanged(at.glass_pairs(conf))).values()
    glass, fates = load_glass(read, at.glass(conf), settings, known)
    for place, one in fates.items():
        if one.status == LEFT_OUT:
            note(f"T = {at.temperature}: Cnf-{conf}: left out: {place}: {one.reason}")
    if glass is None:
        return []
    minima = {one.name: one for one in read if isinstance(one, Minimum)}
    frames = []
    for place, energy in zip(glass.files, minimum_names(glass.keys, settings.ij_decimals).tolist(), strict=True):
        atoms = to_atoms(minima[place])
        atoms.info |= {"name": energy, "units": settings.units}
        atoms.calc = SinglePointCalculator(atoms, energy=len(atoms) * minima[place].energy)
        frames.append(atoms)
    return frames


if __name__ == "__main__":
    run_script(main, __doc__)
