"""The report's sections on the result: numbers at a glance, TLS that can be played, and all that was found."""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.command import Command
from pipeline.formats.keys import PAIR_COLUMNS, Pair
from pipeline.formats.minima import places_by_key
from pipeline.formats.pair_tables import stored_pairs
from pipeline.formats.path_images import path_file
from pipeline.formats.results import read_neb_results, read_unfinished
from pipeline.messages import counted
from pipeline.settings import Settings
from pipeline.workspace import QS, StatePoint
from reporting.found import found_at
from reporting.page import Block, Figure, More, Table, Viewer, figure, missing, text, with_labels
from reporting.player import playable
from search.calculated import read_double_wells
from search.density import SLOWEST, at_energy, density_of_kind, glass_volumes, si_density, tls_density
from search.rearrangements import REARRANGEMENT
from search.rounds import read_rounds
from search.stopping import advice

ROWS, PICTURES, PLAYED = 1000, 24, 50  # double wells in the table, pictures of TLS, TLS played; over all temperatures

CANDIDATES = (
    "The zero-point energies of two minima differ by tens of kelvin, which a splitting along a path does not know: the "
    "density of TLS is a result, the name of a pair is a candidate."
)

SMALLEST = 1e-8  # smaller Δ and Δ₀ stand at the edge of the plane, in ε
WIDTH, HEIGHT, LEFT, BOTTOM = 460, 330, 62, 44  # of the plane, in its own unit


def result(command: Command, at: StatePoint) -> list[Block]:
    """The numbers that count, the TLS with the smallest splittings, and all of them in the plane of Δ and Δ₀."""
    settings, wells = command.settings, read_double_wells(at)
    if wells.empty:
        return [missing(f"No double well calculated yet: run_neb.py writes {at.double_wells.name}.")]
    tls = wells[wells[QS] < settings.tls_threshold].sort_values(QS, kind="stable")
    share = len(command.asked or command.workspace.temperatures())
    stills = _pictures(at, tls.head(max(1, PICTURES // share)))
    played = playable(at, tls.head(max(1, PLAYED // share)), settings)
    said = f"{len(played)} of {len(tls)} TLS to play" if played else "No TLS to play: no images of a path are kept"
    plane = _plane(at, wells, settings, {one["id"] for one in played} | {one.path.stem for one in stills})
    viewer = Viewer(at.temperature, said, played, next(iter(stills), None), plane)
    pictures = [More(f"Pictures of {len(stills)} TLS, smallest splitting first", stills)] if stills else []
    return [_at_a_glance(at, wells, tls, settings), viewer, *pictures]


def _at_a_glance(at: StatePoint, wells: pd.DataFrame, tls: pd.DataFrame, settings: Settings) -> Markup:
    unit, done = settings.unit, read_neb_results(at).index.unique()  # of a refined pair there are two results
    unfinished = len(read_unfinished(at).index.difference(done))
    distinct = tls[tls[REARRANGEMENT] > 0].drop_duplicates(["conf", REARRANGEMENT])
    kelvin = settings.tls_threshold * settings.neb.epsilon
    screened = int((wells["fidelity"] == "screened").sum())
    rows: list[tuple[str, object, str]] = [
        ("TLS", len(tls), f"splitting below {settings.tls_threshold:g} {unit.energy} = {kelvin:.3g} K"),
        ("distinct TLS", len(distinct), "rearrangements with a TLS"),
        ("double wells", len(wells), f"{screened} of them only screened" if screened else "calculated"),
        ("NEBs", len(done) + unfinished, f"{unfinished} of them unfinished"),
    ]
    density = tls_density(at, settings)
    if density is not None:
        row = at_energy(density, settings.tls_threshold).loc["distinct"] * si_density(settings.neb)
        power = 10.0 ** np.floor(np.log10(row["density_high"]))
        mean, low, high = (f"{row[name] / power:.2g}" for name in ("density", "density_low", "density_high"))
        times = f"·10{_superscript(round(np.log10(power)))}"
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


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _stem(at: StatePoint, row: Any) -> str:
    return path_file(at, Pair(row.conf, row.i, row.j)).stem


def _link(at: StatePoint, row: Any, inside: Markup | str) -> Markup:
    """Link that opens a TLS: in the player, or its picture."""
    link = Markup('<a href="#tls/{0}" data-opens="{0}/{1}" aria-label="TLS of Cnf-{2}, {3!r} – {4!r}">{5}</a>')
    return link.format(at.temperature, _stem(at, row), row.conf, row.i, row.j, inside)


def _pictures(at: StatePoint, tls: pd.DataFrame) -> list[Figure]:
    blocks = list[Block]()
    for pair in (Pair(*row) for row in tls[PAIR_COLUMNS].itertuples(index=False)):
        path, title = path_file(at, pair), f"{pair}: the particles that move, and the energy on the path"
        picture, name = at.tls_pictures / f"{path.stem}.png", f"tls/{at.temperature}/{path.stem}"
        blocks.append(figure(title, picture, "run_neb.py", path, id=name))
    return [one for one in blocks if isinstance(one, Figure)]


def _plane(at: StatePoint, wells: pd.DataFrame, settings: Settings, opened: set[str]) -> Markup:
    """Double wells by their asymmetry Δ and tunnelling amplitude Δ₀; a TLS opens the player."""
    unit, threshold = settings.unit, settings.tls_threshold
    known = wells.dropna(subset=["level_asymmetry", "tunnelling_amplitude"])
    if known.empty:
        return text("Δ and Δ₀ are known of no double well yet.")
    values = np.log10(known[["level_asymmetry", "tunnelling_amplitude"]].clip(lower=SMALLEST * unit.epsilon).to_numpy())
    low, high = np.floor(values.min(axis=0)), np.ceil(np.maximum(values.max(axis=0), np.log10(2 * threshold)))
    size = np.array([WIDTH - LEFT - 20, HEIGHT - BOTTOM - 20])

    def place(logarithms: Any) -> Any:
        return np.round([LEFT, HEIGHT - BOTTOM] + (logarithms - low) / (high - low) * size * [1, -1], 1)

    angles = np.arctan(np.geomspace(1e-9, 1e9, 400))
    arc = np.log10(threshold * np.column_stack([np.cos(angles), np.sin(angles)]))
    line = " ".join(f"{x:g},{y:g}" for x, y in place(arc[(arc >= low).all(axis=1)]))
    is_tls, dots = (known[QS] < threshold).to_numpy(), []
    for row, (x, y), small in zip(known.itertuples(index=False), place(values), is_tls, strict=True):
        dot = Markup('<circle cx="{:g}" cy="{:g}" r="{}"/>').format(x, y, 6 if small else 2.5)
        dots.append(_link(at, row, dot) if small and _stem(at, row) in opened else dot)
    drawn = Markup("\n").join(dots[k] for k in np.argsort(is_tls, kind="stable"))  # TLS on top
    title = (
        f"Asymmetry Δ and tunnelling amplitude Δ₀ of {counted(len(known), 'double well')}; not defined, or without a "
        f"record, are those of {len(wells) - len(known)} more. {is_tls.sum()} TLS lie below the line: a click opens one"
    )
    said = (
        '<div><svg class="plane" viewBox="0 0 {} {}" role="group" '
        'aria-label="TLS in the plane of asymmetry and tunnelling amplitude">{}<polyline class="axis" '
        'stroke-dasharray="6 4" points="{}"/>\n{}</svg><p class="said">{}</p></div>'
    )
    return Markup(said).format(WIDTH, HEIGHT, _axes(low, high, place, unit.energy), line, drawn, title)


def _axes(low: Any, high: Any, place: Any, energy: str) -> Markup:
    """Frame, powers of ten and names of the plane's axes."""
    parts = [Markup('<path class="axis" d="M{0},10V{1}H{2}"/>').format(LEFT, HEIGHT - BOTTOM, WIDTH - 10)]
    label = Markup('<text transform="translate({:g} {:g}) rotate({})" text-anchor="{}">{}</text>')
    for axis, (right, down, anchor) in enumerate(((0, 18, "middle"), (-6, 4, "end"))):
        for power in range(int(low[axis]), int(high[axis]) + 1, 1 + int(high[axis] - low[axis]) // 7):
            x, y = place(np.where(np.arange(2) == axis, power, low))
            parts.append(label.format(x + right, y + down, 0, anchor, f"10{_superscript(power)}"))
    parts.append(label.format((LEFT + WIDTH) / 2, HEIGHT - 10, 0, "middle", f"asymmetry Δ ({energy})"))
    parts.append(label.format(16, (HEIGHT - BOTTOM) / 2, -90, "middle", f"tunnelling amplitude Δ₀ ({energy})"))
    return Markup("").join(parts)


def found_together(command: Command, temperatures: list[str]) -> list[Block]:
    """The density of TLS, a row a temperature, and the pictures of all temperatures; none before the first NEB."""
    work, settings = command.workspace, command.settings
    unit, rows = settings.unit, list[tuple[object, ...]]()
    double_wells, densities = found_at(work, temperatures, settings)
    for temperature, table in densities.items():
        at = at_energy(table, settings.tls_threshold)
        every = at.loc["all"]
        density = "{density:.3g} ({density_low:.3g} to {density_high:.3g})".format(**every)
        kinds = (density_of_kind(at.loc[kind]) for kind in ("distinct", "tunnelling"))
        sizes = int(every["glasses"]), every["volume"], int(every["count"])
        rows.append((temperature, *sizes, density, every["density_sd_glasses"], *kinds, every["density_SI"]))
    columns = ["T", "glasses searched", f"volume ({unit.length}³)", "TLS", "density (68 %, Poisson)"]
    columns += ["± from glass to glass", "distinct (TLS)", f"Δ₀ ≥ {SLOWEST:g} E (TLS)", "J⁻¹ m⁻³"]
    title = f"Density of TLS in {unit.energy}⁻¹ {unit.length}⁻³, a lower bound: of what the lists were searched for"
    blocks: list[Block] = []
    if rows:
        files = [work.at(temperature).tls_density for temperature in densities]
        blocks.append(Table(title, pd.DataFrame(rows, columns=columns), files))
        said = "Double wells per volume with a splitting below E, and the density of TLS"
        blocks.append(figure(said, work.tls_densities, "run_neb.py"))
    if len(double_wells) > 1:
        said = "Barriers, amplitudes and asymmetries: fractions of the double wells, and of the TLS"
        blocks.append(figure(said, work.tls_comparison, "run_neb.py"))
    return blocks


def found(command: Command, at: StatePoint) -> list[Block]:
    """Tables of the double wells and of the glasses; barriers, asymmetries, rearrangements."""
    limit, unit = command.settings.tls_threshold, command.settings.unit
    wells = read_double_wells(at).sort_values(QS, kind="stable")
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
    for k, row in enumerate(shown.head(PLAYED // temperatures).itertuples(index=False)):
        if kinds[k] and (path_file(at, Pair(row.conf, row.i, row.j)).exists() or at.tls_pictures.is_dir()):
            kinds[k] = _link(at, row, "TLS")
    rows.insert(0, "kind", kinds)
    title = f"Double wells calculated, smallest splitting first{cut}"
    statistics = "Double wells, and TLS among them, by barrier, tunnelling amplitude and asymmetry"
    mapped = "Rearrangements: how many pairs each has, and splittings against ΔE with the V of two levels in two wells"
    return [
        text(CANDIDATES),
        Table(title, with_labels(rows).rename(columns=columns), [at.double_wells]),
        Table("Glasses", _glasses(at, wells, command.settings)),
        figure(statistics, at.tls_statistics, "run_neb.py", at.tls_density),
        figure("Smallest splittings: energy on the path and both levels", at.neb_paths("png"), "run_neb.py"),
        figure(mapped, at.rearrangements, "run_neb.py"),
        figure("Double wells in the planes that papers print", at.tls_planes, "run_neb.py"),
    ]


def observables(command: Command, at: StatePoint) -> list[Block]:
    """Heat capacity, internal friction and conductivity."""
    said = "What a laboratory would measure of these double wells: of independent TLS, with the sound of the minima"
    return [figure(said, at.observables("png"), "observables.py")]


def _glasses(at: StatePoint, wells: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    volumes, of_tls = glass_volumes(at), wells[wells[QS] < settings.tls_threshold]
    distinct = of_tls[of_tls[REARRANGEMENT] > 0].drop_duplicates(["conf", REARRANGEMENT])
    found = [table.groupby("conf").size() for table in (wells, of_tls, distinct)]
    tls = found[1]
    glasses, rows = at.glasses, {}
    for conf in sorted({*glasses, *wells["conf"]}):
        table = at.glass_pairs(conf)
        minima = len(places_by_key(glasses[conf], at.decimals, at.workspace.reading)) if conf in glasses else ""
        counts = minima, stored_pairs(table) if table.exists() else "", *(one.get(conf, 0) for one in found)
        rows[f"{conf}"] = (*counts, tls.get(conf, 0) / (settings.tls_threshold * volumes.get(conf, np.nan)))
    density = f"density of TLS ({settings.unit.energy}⁻¹ {settings.unit.length}⁻³)"
    columns = ["minima", "pairs", "double wells", "TLS", "distinct TLS", density]
    return pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("glass").reset_index()
