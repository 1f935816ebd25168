"""All that is known of a workspace on one page: what was found, what to calculate next, whether to go on, from what.

Reads    what the other scripts wrote; what is not there yet, the page says which of them makes
Writes   output_ML/report.html: one file that loads nothing from elsewhere and needs no network

With -T the page is about these temperatures only.

Example  python report.py --workspace example-run
"""

from pipeline.command import Command, check_command_line, run_script

if __name__ == "__main__":
    check_command_line(__doc__)

from pipeline import __version__, messages
from pipeline.files import write_text
from pipeline.messages import Progress
from reporting.found_sections import found, found_together, observables, result
from reporting.page import render
from reporting.sections import files_and_settings, model_quality, next_pairs, search_progress, validators_said
from search.calculated import check_double_wells

SECTIONS = {
    "Result": (None, result),
    "What was found": (found_together, found),
    "What to calculate next": (None, next_pairs),
    "Does going on pay?": (None, search_progress),
    "Can the models be believed?": (validators_said, model_quality),
    "Observables": (None, observables),
    "Files and settings": (None, files_and_settings),
}
"""What of all temperatures, and what of each, stands below each heading."""


def main(command: Command) -> None:
    """Write the page about every temperature."""
    work = command.workspace
    temperatures = command.temperatures(
        lambda at: True, "nothing to report on: no minima, pair tables or NEB results; put minima there and run step 0"
    )
    with command.only_writer():
        sections = {}
        for T in temperatures:
            check_double_wells(work.at(T), command.settings.unit)
        for title, (of_all, of_each) in Progress(SECTIONS.items(), desc="report", unit="section"):
            together = of_all(command, temperatures) if of_all else []
            sections[title] = {"": together, **{f"T = {T}": of_each(command, work.at(T)) for T in temperatures}}
        said = f"tls-finder {__version__}; temperatures: {', '.join(temperatures)}"
        write_text(work.report, render(f"Two-level systems: {work.root.resolve().name}", said, sections, work.report))
    messages.result(f"report: {work.report} ({work.report.stat().st_size / 1e6:.1f} MB); open it in a browser")
    messages.record(", ".join(temperatures), report=work.report)


if __name__ == "__main__":
    run_script(main, __doc__)
