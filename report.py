"""All that is known of a workspace on one page: what to calculate next, whether to go on, what was found, from what.

Reads    what the other scripts wrote; what is not there yet, the page says which of them makes
Writes   output_ML/report.html: one file that loads nothing from elsewhere and needs no network

With -T the page is about these temperatures only.
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)

from collections.abc import Callable

from pipeline.files import write_text
from pipeline.progress import progress
from pipeline.version import __version__
from pipeline.workspace import StatePoint
from reporting.report_density import all_temperatures
from reporting.report_files import left_out, provenance
from reporting.report_models import can_models_be_believed
from reporting.report_page import Block, Figures, Section, render
from reporting.report_search import does_going_on_pay, what_next
from reporting.report_wells import double_wells_found

FOUND = "Two-level systems found"

SECTIONS: dict[str, Callable[[Command, StatePoint, Figures], list[Block]]] = {
    "What to calculate next": what_next,
    "Does going on pay?": does_going_on_pay,
    "Can the models be believed?": can_models_be_believed,
    FOUND: double_wells_found,
    "Left out and unfinished": left_out,
    "From what this was made": provenance,
}


def main(command: Command) -> None:
    """Write the page about every temperature."""
    work = command.workspace
    temperatures = command.temperatures(
        lambda at: True, "nothing to report on: no minima, pair tables or NEB results; put minima there and run step 0"
    )
    with command.only_writer():
        figures = Figures(work.report)
        sections = []
        for title, gather in progress(SECTIONS.items(), desc="report", unit="section"):
            together = all_temperatures(command, temperatures, figures) if title == FOUND else []
            parts = {T: gather(command, work.at(T), figures) for T in temperatures}
            sections.append(Section(title, parts, together))
        said = f"tls-finder {__version__}; temperatures: {', '.join(temperatures)}"
        write_text(work.report, render(f"Two-level systems: {work.root.resolve().name}", said, sections))
    print(f"report: {work.report} ({work.report.stat().st_size / 1e6:.1f} MB); open it in a browser")


if __name__ == "__main__":
    run_script(main, __doc__)
