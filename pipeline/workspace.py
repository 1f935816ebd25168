"""Where every file of a workspace stands: other modules ask here for its path."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

DW = "is_dw"  # column of labels: 1 for a double well, 0 for a non-DW
QS = "quantum_splitting"  # column of labels: E₁ − E₀ of a double well in ε
RELAXED = "relaxed.csv"  # name of the file in which relax_minima.py says what it found of the minima beside it
ENERGIES = "energies.csv"  # name of the file that gives energies of the minima beside it
SAMPLED = r"from--?\d+\.\d+\.extxyz"  # names of the files of simulate_glass.py --from-tls
_TEMPERATURE = re.compile(r"T[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # names of the folders of temperatures


class Reading(NamedTuple):
    """How frames of a workspace are read."""

    energy_key: str = ""  # name of the energy, from config.yaml; empty: the usual one
    units: str = ""  # units of the workspace, for formats that name theirs; empty: any
    match_atoms: bool = False  # whether equal particles of two minima are exchanged to lie near each other


AS_USUAL = Reading()


class Task(NamedTuple):
    """The task of one model."""

    name: str  # its section in config.yaml and the word in the name of its pretraining set
    folder: str  # beginning of the name of its model's folder
    target: str  # column to learn
    script: str  # the step that trains it


CLASSIFIER = Task("classifier", "dw-classification", DW, "step1_train_dw.py")
PREDICTOR = Task("predictor", "qs-regression", QS, "step3_train_qs.py")


def digits(temperature: str) -> str:
    """T without its dot, as the names of models and pretraining sets carry it: ``0.062`` gives ``0062``."""
    return temperature.replace(".", "")


def below(template: str) -> "cached_property[Path]":
    """A path below the root; ``{T}`` stands for the temperature, ``{share}`` for what a share puts before its files."""
    return cached_property(lambda owner: _filled(owner, template))


def named(template: str) -> Callable[..., Path]:
    """A method that gives such a path; its arguments stand for ``{0}`` and so on."""
    return lambda owner, *names: _filled(owner, template, *names)


def _filled(owner: "Workspace | StatePoint", template: str, *names: object) -> Path:
    if isinstance(owner, Workspace):
        return owner.root / template.format(*names)
    temperature, share = owner.temperature, f"shares/{owner.share}." if owner.share else ""
    return owner.workspace.root / template.format(*names, T=temperature, digits=digits(temperature), share=share)


@dataclass(frozen=True)
class Workspace:
    """The data folders below one root."""

    root: Path
    ij_decimals: int = 10  # names of minima in files are equal if they are equal to so many decimals
    reading: Reading = AS_USUAL

    settings = below("config.yaml")
    output = below("output_ML")
    report = below("output_ML/report.html")
    classifier_performance = below("output_ML/dw_classifier_performances.txt")
    tls_densities = below("output_ML/tls_density.png")
    tls_comparison = below("output_ML/tls_comparison.png")
    true_against_predicted = named("output_ML/qs-true_vs_AI_{0}.png")  # trainingset or testset

    def at(self, temperature: str) -> "StatePoint":
        """The files of one temperature, written as in the folders' names."""
        return StatePoint(self, temperature)

    def lock(self, script: str, temperature: str | None) -> Path:
        """Held by the process of a script that writes the files of one temperature, or of all (None)."""
        name = script if temperature is None else f"{script}-T{temperature}"
        return self.output / ".locks" / f"{name}.lock"

    def temperatures(self) -> list[str]:
        """Every T with minima, pair tables or NEB results, smallest first."""
        names = {path.name[1:] for path in self._temperature_folders() if _TEMPERATURE.fullmatch(path.name)}
        return sorted(names, key=lambda name: (float(name), name))

    def misnamed_temperatures(self) -> list[Path]:
        """Folders beside those of the temperatures whose names look like one and are none: ``0.062``, ``T=0.062``."""
        folders = (path for path in self._temperature_folders() if not _TEMPERATURE.fullmatch(path.name))
        return [path for path in folders if re.fullmatch(r"T?[\s=_]*[\d.]+.*", path.name)]

    def _temperature_folders(self) -> list[Path]:
        parents = (self.at("").minima.parent, self.at("").pairs.parent, self.at("").neb.parent)
        return sorted(path for parent in parents if parent.is_dir() for path in parent.iterdir() if path.is_dir())


@dataclass(frozen=True)
class StatePoint:
    """The files of one temperature."""

    workspace: Workspace
    temperature: str  # as in the folders' names
    share: str = ""  # ``1-of-4``: exact results go to the files of this share; all else stands where it does without

    minima = below("Configurations/minima/T{T}")
    glass = named("Configurations/minima/T{T}/Cnf-{0}")
    unfinished_glass = named("Configurations/minima/T{T}/.Cnf-{0}.part")  # step 0 passes over hidden folders
    quenched = named("Configurations/minima/T{T}/Cnf-{0}/minima.extxyz")  # by dynamics from a structure
    dynamics = named("Configurations/minima/T{T}/Cnf-{0}/.dynamics.npz")  # what this has so far
    dynamics_from = named("Configurations/minima/T{T}/Cnf-{0}/.from-{1}.npz")  # of the next
    sampled_from = named("Configurations/minima/T{T}/Cnf-{0}/from-{1}.extxyz")  # by dynamics from that minimum: SAMPLED
    transitions = named("Configurations/transitions/T{T}/Cnf-{0}.csv")
    transitions_from = named("Configurations/transitions/T{T}/Cnf-{0}.from-{1}.csv")
    pairs = below("Configurations/pairs/T{T}")
    glass_pairs = named("Configurations/pairs/T{T}/Cnf-{0}.feather")
    neb = below("NEB_calculations/T{T}")
    result = named("NEB_calculations/T{T}/{share}{0}")  # a file of exact results, of this share if it is one
    non_dw = below("NEB_calculations/T{T}/{share}NON-DW.txt")
    unfinished = below("NEB_calculations/T{T}/{share}unfinished.csv")  # pairs without a verdict
    calculations = below("NEB_calculations/T{T}/{share}calculations.csv")  # the verdict and cost of each
    output = below("output_ML/T{T}")
    seen_minima = below("output_ML/T{T}/minima.csv")
    classified = below("output_ML/T{T}/DW_T{T}.csv")
    classified_features = below("output_ML/T{T}/DW_T{T}.feather")  # the same pairs with all features
    predicted = named("output_ML/T{T}/predictedQs_T{T}_{0}.csv")  # allpairs or newpairs
    splitting_cdf = below("output_ML/T{T}/splitting_cdf_T{T}.png")
    search_efficiency = below("output_ML/T{T}/TLS-search-efficiency.png")
    reliability = named("output_ML/T{T}/reliability-{0}.png")  # dw or tls
    double_wells = below("output_ML/T{T}/double_wells.csv")
    path = named("output_ML/T{T}/paths/{0}.extxyz")  # Cnf-{conf}_{i}_{j}
    tls_pictures = below("output_ML/T{T}/pictures")  # folder of the pictures of TLS, named as the paths
    tls_density = below("output_ML/T{T}/tls_density.csv")
    tls_statistics = below("output_ML/T{T}/tls_statistics.png")
    tls_planes = below("output_ML/T{T}/tls_planes.png")
    rearrangements = below("output_ML/T{T}/rearrangements.png")
    rearrangement_numbers = below("output_ML/T{T}/rearrangements.feather")  # of every pair that was asked for
    exported_minima = named("output_ML/T{T}/minima/Cnf-{0}.extxyz")  # of a glass, for other programs
    observables = named("output_ML/T{T}/observables.{0}")  # csv, or the format of the picture
    rounds = named("output_ML/T{T}/rounds.{0}")  # csv or png
    shap = named("output_ML/T{T}/shap-{1}{0.name}.png")  # of a task, as all below; 1: "pair-" of one pair, or nothing
    pretraining = named("MLmodel/pretraining-{0.name}-T{digits}.feather")
    model = named("MLmodel/{0.folder}-T{digits}")
    model_set = named("MLmodel/{0.folder}-T{digits}/{1}.feather")  # train, test or used, the data used so far
    card = named("MLmodel/{0.folder}-T{digits}/card.json")
    new_model = named("MLmodel/.{0.folder}-T{digits}.new")  # while it is trained
    old_model = named("MLmodel/.{0.folder}-T{digits}.old")  # while it is replaced
    training_lock = named("MLmodel/.locks/{0.folder}-T{digits}.lock")  # whatever workspaces share the model
    training_log = named("MLmodel/{0.folder}-T{digits}.log")

    @property
    def decimals(self) -> int:
        """Decimals to which the names of two minima are equal."""
        return self.workspace.ij_decimals

    def of_share(self, share: str) -> "StatePoint":
        """These files as a share of a run sees them."""
        return replace(self, share=share)

    @property
    def splittings(self) -> list[Path]:
        """The splittings files that are there; both spellings are in use."""
        names = ("Qs_calculations.txt", "Qs_calcuations.txt")
        return [path for name in names if (path := self.result(name)).exists()]

    @property
    def new_splittings(self) -> Path:
        """The splittings file to which results are added: the one that is read last, for the last result counts."""
        return (self.splittings or [self.result("Qs_calculations.txt")])[-1]

    def neb_paths(self, kind: str) -> Path:
        """``kind``: ``jsonl``, the profiles, or ``png``, the picture."""
        name = f"neb_paths.{kind}"
        return self.result(name) if self.share else self.output / name

    @property
    def result_files(self) -> list[Path]:
        """All files to which exact results go, of a share its own; they need not be there."""
        return [self.non_dw, *self.splittings, self.unfinished, self.calculations, self.neb_paths("jsonl")]

    @property
    def shares(self) -> list["StatePoint"]:
        """The shares that have left results which are not merged yet."""
        found = {path.name.split(".")[0] for path in (self.neb / "shares").glob("[1-9]*-of-[1-9]*.*")}
        named = [self.of_share(share) for share in sorted(found) if re.fullmatch(r"[1-9]\d*-of-[1-9]\d*", share)]
        return [share for share in named if any(path.exists() for path in share.result_files)]

    @property
    def neb_files(self) -> list[Path]:
        """All that says which pairs are calculated."""
        places = (self, *self.shares)
        return [path for one in places for path in (one.non_dw, *one.splittings, one.unfinished)]

    def pretraining_sets(self, task: Task) -> list[Path]:
        """The pretraining sets that are there: that of the contract, and further ones with ``-NAME`` at the end."""
        first = self.pretraining(task)
        others = sorted(first.parent.glob(f"{first.stem}-*.feather"))
        return [path for path in (first, *others) if path.exists()]

    @property
    def all_pretraining_sets(self) -> list[Path]:
        return [path for task in (CLASSIFIER, PREDICTOR) for path in self.pretraining_sets(task)]

    def has_labels(self, task: Task) -> bool:
        """Whether there is a file from which a model could learn."""
        places = (self, *self.shares)
        others = any(one.non_dw.exists() for one in places) and task == CLASSIFIER
        return others or any(one.splittings for one in places) or bool(self.pretraining_sets(task))

    @property
    def pair_tables(self) -> list[Path]:
        return sorted(self.pairs.glob("[!.]*.feather"))

    @property
    def glasses(self) -> dict[int, Path]:
        """Folders ``Cnf-{conf}`` with minima, by their number."""
        named = (path for path in self._in_minima if re.fullmatch(r"Cnf-(0|[1-9][0-9]{0,17})", path.name))
        return {int(path.name[4:]): path for path in named if path.is_dir() and os.access(path, os.R_OK | os.X_OK)}

    @property
    def has_glasses(self) -> bool:
        return bool(self._in_minima)

    @property
    def misnamed_glasses(self) -> list[Path]:
        """Other entries of that folder: under another name, or not readable."""
        return sorted({*self._in_minima} - {*self.glasses.values()})

    @property
    def _in_minima(self) -> list[Path]:
        return sorted(self.minima.glob("[!.]*"))


def all_transitions(counted: Path) -> list[Path]:
    """The file of a glass's transitions, and those of the trajectories of simulate_glass.py --from-tls beside it."""
    return [counted, *sorted(counted.parent.glob(f"{counted.stem}.from-*.csv"))]


def minimum_paths(folder: Path) -> list[Path]:
    """All files of a glass but hidden ones, sorted by name, those in folders of single minima too."""

    def listed(folder: Path) -> list[Path]:
        others = (RELAXED, ENERGIES)
        return sorted(one for one in folder.iterdir() if one.name not in others and not one.name.startswith("."))

    found = []
    for path in listed(folder):
        inside = listed(path) if path.is_dir() and os.access(path, os.R_OK | os.X_OK) else []
        found += [one for one in inside if one.is_file()] or [path]
    return found


def glass_of(path: Path) -> Path:
    """The folder of the glass to which a file of minima belongs."""
    above = path.parent.parent
    return above if above.name.startswith("Cnf-") and not path.parent.name.startswith("Cnf-") else path.parent


def minimum_name(path: Path) -> str:
    """A file as lists name it: its path below the folder of the glass."""
    return path.relative_to(glass_of(path)).as_posix()


def inputs_of(folder: Path) -> list[Path]:
    """All that decides which minima a glass has: its files, and what stands beside them of energies and relaxations."""
    files = minimum_paths(folder)
    beside = {one / ENERGIES for one in {folder, *(path.parent for path in files)}} | {folder / RELAXED}
    return [*files, *(path for path in sorted(beside) if path.exists())]


class Share(NamedTuple):
    """The ``number``-th of so many ``parts``, from 1."""

    number: int
    parts: int

    @property
    def name(self) -> str:
        """As files carry it."""
        return f"{self.number}-of-{self.parts}"
