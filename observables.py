"""What a laboratory would measure of the double wells found: heat capacity, internal friction, thermal conductivity.

Reads    output_ML/T{T}/double_wells.csv, Configurations/minima/T{T}/
Writes   output_ML/T{T}/observables.csv and observables.png

Sums over independent two-level systems in equilibrium, with bands; doc/observables.md has the formulas. Density and
sound velocities are those of observables in config.yaml, or of minima. Stops at once if nothing is new.

Example  python observables.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script
from pipeline.workspace import StatePoint

if __name__ == "__main__":
    check_command_line(__doc__)

from pipeline.files import atomic_write
from pipeline.messages import nothing_new, record, result
from pipeline.stamps import made_from, mark_made, up_to_date
from reporting.found import draw_observables
from search.calculator import find_calculator
from search.thermal_properties import minima_used, update_observables


def main(command: Command) -> None:
    """Bring the observables of every temperature with double wells up to date."""
    temperatures = command.temperatures(
        lambda at: at.double_wells.exists(), "no temperature has double wells; run_neb.py calculates them"
    )
    command.for_each_temperature(temperatures, lambda at: measure(command, at))


def measure(command: Command, at: StatePoint) -> None:
    """Write the observables of one temperature, and the numbers that are quoted of them."""
    settings = command.settings
    outputs = [at.observables("csv"), *(at.observables(name) for name in settings.figures)]
    inputs = made_from([at.double_wells], settings=settings.model_dump(mode="json"), minima=minima_used(at))
    if up_to_date(outputs, inputs):
        nothing_new(at.temperature, "nothing new")
        return
    has_one = settings.neb.calculator is not None
    make_calculator = find_calculator(settings.neb, command.workspace.root) if has_one else None
    table, said = update_observables(at, settings, make_calculator)
    with atomic_write(outputs[0]) as part:
        table.to_csv(part, index=False, float_format="%.6g")
    draw_observables(table, f"T = {at.temperature}", settings).save(at.observables("png"), settings.figures)
    mark_made(outputs, inputs)
    record(at.temperature, observables=outputs[0])
    for line in said:
        result(f"T = {at.temperature}: {line}")


if __name__ == "__main__":
    run_script(main, __doc__)
