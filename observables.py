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

from pipeline.files import atomic_write, file_digest
from pipeline.messages import nothing_new, record, result
from pipeline.stamps import made_from, mark_made, up_to_date
from reporting.found import draw_observables
from search.calculated import check_double_wells
from search.calculator import find_calculator
from search.density import glass_volumes
from search.thermal_properties import lowest_minima, medium_of, observables, observables_in_words, tls_of


def main(command: Command) -> None:
    """Bring the observables of every temperature with double wells up to date."""
    temperatures = command.temperatures(
        lambda at: at.double_wells.exists(), "no temperature has double wells; run_neb.py calculates them"
    )
    command.for_each_temperature(temperatures, lambda at: measure(command, at))


def measure(command: Command, at: StatePoint) -> None:
    """Write the observables of one temperature, and the numbers that are quoted of them."""
    settings, volumes = command.settings, glass_volumes(at)
    check_double_wells(at, settings.unit)
    outputs = [at.observables("csv"), *(at.observables(name) for name in settings.figures)]
    lowest = {f"{place.path.parent.name}/{place.name}": file_digest(place.path) for place in lowest_minima(at)}
    minima = {"volumes": {f"{conf}": round(size, 9) for conf, size in volumes.items()}, "lowest": lowest}
    inputs = made_from([at.double_wells], settings=settings.model_dump(mode="json"), minima=minima)
    if up_to_date(outputs, inputs):
        nothing_new(at.temperature, "nothing new")
        return
    tls, neb = tls_of(at, settings, volumes), settings.neb
    make_calculator = find_calculator(neb, command.workspace.root) if neb.calculator is not None else None
    medium = medium_of(at, settings, make_calculator) if tls.coupled else None
    table = observables(tls, volumes.to_numpy(float) * neb.sigma**3, medium, settings, settings.seed)
    with atomic_write(outputs[0]) as part:
        table.to_csv(part, index=False, float_format="%.6g")
    draw_observables(table, f"T = {at.temperature}", settings).save(at.observables("png"), settings.figures)
    mark_made(outputs, inputs)
    record(at.temperature, observables=outputs[0])
    for line in observables_in_words(table, medium, tls, settings):
        result(f"T = {at.temperature}: {line}")


if __name__ == "__main__":
    run_script(main, __doc__)
