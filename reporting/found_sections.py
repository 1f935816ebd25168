"""The report's sections on the result: numbers at a glance, TLS that can be played, and all that was found."""

from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.command import Command
from pipeline.formats.keys import PAIR_COLUMNS, Pair
from pipeline.formats.pair_tables import stored_pairs
from pipeline.formats.records import path_file
from pipeline.formats.results import read_neb_results, read_unfinished
from pipeline.matching import minima_of
from pipeline.settings import Settings
from pipeline.stamps import minima_in_table
from pipeline.workspace import QS, StatePoint
from reporting.calculations import page_plane
from reporting.found import KINDS
from reporting.page import figure, missing, more, picture_file, table, text, viewer, with_labels
from reporting.player import playable
from search.calculated import read_double_wells
from search.density import at_energy, density_of_kind, glass_volumes, si_density, tls_density
from search.rearrangements import REARRANGEMENT, distinct
from search.rounds import read_rounds
from search.stopping import advice

ROWS, PICTURES, PLAYED = 1000, 24, 50  # double wells in the table, pictures of TLS, TLS played; over all temperatures

CANDIDATES = (
    "The zero-point energies of two minima differ by tens of kelvin, which a splitting along a path does not know: the "
    "density of TLS is a result, the name of a pair is a candidate."
)


def result(command: Command, at: StatePoint) -> list[Markup]:
    """The numbers that count, the TLS with the smallest splittings, and all of them in the plane of Δ and Δ₀."""
    settings, wells = command.settings, read_double_wells(at)
    if wells.empty:
        return [missing(f"No double well calculated yet: run_neb.py writes {at.double_wells.name}.")]
    tls = wells[wells[QS] < settings.tls_threshold]
    share = len(command.asked or command.workspace.temperatures())
    played = playable(at, tls.head(max(1, PLAYED // share)), settings)
    said = f"{len(played)} of {len(tls)} TLS to play"
    if not played:
        said = "No TLS to play: no images of a path are kept" if len(tls) else "No TLS found yet"
    pictures, about = dict[str, Path](), "the particles that move, and the energy on the path"
    blocks = []
    for path in _paths(at, tls.head(max(1, PICTURES // share))):
        if picture := picture_file(at.tls_pictures / f"{path.stem}.png"):
            pictures[path.stem] = picture
            name = f"tls/{at.temperature}/{path.stem}"
            blocks.append(figure(f"{path.stem}: {about}", picture, "run_neb.py", path, id=name))
    opened = {*pictures, *(one["id"] for one in played)}
    names = [path.stem if path.stem in opened else None for path in _paths(at, wells)]
    plane = page_plane(wells, at.temperature, names, settings)
    return [
        _at_a_glance(at, wells, tls, settings),
        viewer(at.temperature, said, played, next(iter(pictures.values()), None), plane),
        *([more(f"Pictures of {len(blocks)} TLS, smallest splitting first", *blocks)] if blocks else []),
    ]


def _paths(at: StatePoint, wells: pd.DataFrame) -> list[Path]:
    """Files of the images of double wells, kept or not."""
    return [path_file(at, Pair(*row)) for row in wells[PAIR_COLUMNS].itertuples(index=False)]


def _at_a_glance(at: StatePoint, wells: pd.DataFrame, tls: pd.DataFrame, settings: Settings) -> Markup:
    unit, done = settings.unit, read_neb_results(at).index.unique()  # of a refined pair there are two results
    unfinished = len(read_unfinished(at).index.difference(done))
    kelvin = settings.tls_threshold * settings.neb.epsilon
    screened = int((wells["fidelity"] == "screened").sum())
    rows: list[tuple[str, object, str]] = [
        ("TLS", len(tls), f"splitting below {settings.tls_threshold:g} {unit.energy} = {kelvin:.3g} K"),
        ("distinct TLS", len(distinct(tls)), "rearrangements with a TLS"),
        ("double wells", len(wells), f"{screened} of them only screened" if screened else "calculated"),
        ("NEBs", len(done) + unfinished, f"{unfinished} of them unfinished"),
    ]
    density = tls_density(at, settings)
    if density is not None:
        row = at_energy(density, settings.tls_threshold).loc["distinct"] * si_density(settings.neb)
        power = int(np.floor(np.log10(row["density_high"])))
        mean, low, high = (f"{row[name] / 10.0**power:.2g}" for name in ("density", "density_low", "density_high"))
        times = f"·10{str(power).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        said = f"J⁻¹ m⁻³; 68 %: ({low} to {high}){times}; a lower bound"
        rows.append(("density of distinct TLS", f"{mean}{times}", said))
    rounds = read_rounds(at)
    if len(rounds):
        last = rounds.iloc[-1]
        everything = len(tls) + float(last["remaining_tls"])
        part = f"{100 * len(tls) / everything:.0f} %" if everything else "–"
        rows.append(("part found", part, f"expected on the rest of the list: {last['remaining_tls']:.1f} TLS"))
        rows.append(("go on?", *(advice(last) or ("open", "too little is expected of the next NEBs to say"))))
    one = Markup("<li><span>{}</span><b>{}</b><span>{}</span></li>")
    return Markup('<ul class="tiles">{}</ul>').format(Markup("").join(one.format(*row) for row in rows))


def found_together(command: Command, temperatures: list[str]) -> list[Markup]:
    """The density of TLS, a row a temperature, and the pictures of all temperatures; none before the first NEB."""
    work, settings = command.workspace, command.settings
    unit, rows, (_, *kinds) = settings.unit, list[tuple[object, ...]](), KINDS
    files, with_wells = list[Path](), 0
    for temperature in temperatures:
        point = work.at(temperature)
        with_wells += int(len(read_double_wells(point)) > 0)
        density_table = tls_density(point, settings)
        if density_table is None:
            continue
        files.append(point.tls_density)
        at = at_energy(density_table, settings.tls_threshold)
        every = at.loc["all"]
        density = "{density:.3g} ({density_low:.3g} to {density_high:.3g})".format(**every)
        of_kinds = (density_of_kind(at.loc[kind]) if kind in at.index else "" for kind in kinds)
        sizes = int(every["glasses"]), every["volume"], int(every["count"])
        rows.append((temperature, *sizes, density, every["density_sd_glasses"], *of_kinds, every["density_SI"]))
    columns = ["T", "glasses searched", f"volume ({unit.length}³)", "TLS", "density (68 %, Poisson)"]
    columns += ["± from glass to glass", *(f"{KINDS[kind][1]} (TLS)" for kind in kinds), "J⁻¹ m⁻³"]
    title = f"Density of TLS in {unit.energy}⁻¹ {unit.length}⁻³, a lower bound: of what the lists were searched for"
    blocks = []
    if rows:
        blocks.append(table(title, pd.DataFrame(rows, columns=columns), *files))
        said = "Double wells per volume with a splitting below E, and the density of TLS"
        blocks.append(figure(said, work.tls_densities, "run_neb.py"))
    if with_wells > 1:
        said = "Barriers, amplitudes and asymmetries: fractions of the double wells, and of the TLS"
        blocks.append(figure(said, work.tls_comparison, "run_neb.py"))
    return blocks


def found(command: Command, at: StatePoint) -> list[Markup]:
    """Tables of the double wells and of the glasses; barriers, asymmetries, rearrangements."""
    limit, unit = command.settings.tls_threshold, command.settings.unit
    wells = read_double_wells(at)
    if wells.empty:
        return []
    temperatures = len(command.asked or command.workspace.temperatures())
    shown = wells.head(max(1, ROWS // temperatures))
    cut = f"; the first {len(shown)} of {len(wells)} rows" if len(shown) < len(wells) else ""
    columns = {
        QS: f"splitting ({unit.energy})",
        "splitting_K": "splitting (K)",
        "tunnelling_amplitude": f"Δ₀ ({unit.energy})",
        "asymmetry": f"asymmetry ({unit.energy})",
        "barrier": f"barrier ({unit.energy})",
        "path_length": f"path ({unit.length})",
        "gamma_l_eV": "γ_l (eV)",
        "gamma_t_eV": "γ_t (eV)",
        "PR": "PR",
        REARRANGEMENT: "rearrangement",
        "fidelity": "calculation",
    }
    rows = shown[[*PAIR_COLUMNS, *columns]].dropna(axis=1, how="all")
    kinds = np.where(shown[QS] < limit, "TLS", "").astype(object)
    for k, path in enumerate(_paths(at, shown.head(PLAYED // temperatures))):
        if kinds[k] and (path.exists() or at.tls_pictures.is_dir()):
            link = Markup('<a href="#tls/{0}" data-opens="{0}/{1}" aria-label="TLS of {1}">TLS</a>')
            kinds[k] = link.format(at.temperature, path.stem)
    rows.insert(0, "kind", kinds)
    title = f"Double wells calculated, smallest splitting first{cut}"
    statistics = "Double wells, and TLS among them, by barrier, tunnelling amplitude and asymmetry"
    mapped = "Rearrangements: how many pairs each has, and splittings against ΔE with the V of two levels in two wells"
    return [
        text(CANDIDATES),
        table(title, with_labels(rows, at.decimals).rename(columns=columns), at.double_wells),
        table("Glasses", _glasses(at, wells, command.settings)),
        figure(statistics, at.tls_statistics, "run_neb.py", at.tls_density),
        figure("Smallest splittings: energy on the path and both levels", at.neb_paths("png"), "run_neb.py"),
        figure(mapped, at.rearrangements, "run_neb.py"),
        figure("Double wells in the planes that papers print", at.tls_planes, "run_neb.py"),
    ]


def observables(command: Command, at: StatePoint) -> list[Markup]:
    """Heat capacity, internal friction and conductivity."""
    said = "What a laboratory would measure of these double wells: of independent TLS, with the sound of the minima"
    return [figure(said, at.observables("png"), "observables.py")]


def _glasses(at: StatePoint, wells: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    tls, volumes, glasses = wells[wells[QS] < settings.tls_threshold], glass_volumes(at), at.glasses
    rows = []
    for conf in sorted({*glasses, *wells["conf"]}):
        table = at.glass_pairs(conf)
        minima = len(minima_in_table(at, conf) or minima_of(at, conf)) if conf in glasses else ""
        found = [int((one["conf"] == conf).sum()) for one in (wells, tls, distinct(tls))]
        density = found[1] / (settings.tls_threshold * volumes.get(conf, np.nan))
        rows.append((str(conf), minima, stored_pairs(table) if table.exists() else "", *found, density))
    density = f"density of TLS ({settings.unit.energy}⁻¹ {settings.unit.length}⁻³)"
    return pd.DataFrame(rows, columns=["glass", "minima", "pairs", "double wells", "TLS", "distinct TLS", density])
