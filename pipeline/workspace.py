"""Where every file of a workspace stands: other modules ask here for its path."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

DW = "is_dw"
"""Column of labels: 1 for a double well, 0 for a non-DW."""

QS = "quantum_splitting"
"""Column of labels: E₁ − E₀ of a double well in ε."""

RELAXED = "relaxed.csv"
"""Name of the file in which relax_minima.py says what it found of the minima beside it."""

ENERGIES = "energies.csv"
"""Name of the file that gives energies of the minima beside it."""


class Reading(NamedTuple):
    """How frames of a workspace are read."""

    energy_key: str = ""
    """Name of the energy, from config.yaml; empty: the usual one."""
    units: str = ""
    """Of the workspace, for formats that name theirs; empty: any."""
    match_atoms: bool = False
    """Whether equal particles of two minima are exchanged to lie near each other."""


AS_USUAL = Reading()


@dataclass(frozen=True)
class Task:
    """What one model learns."""

    name: str
    folder: str
    target: str
    script: str


CLASSIFIER = Task("classifier", "dw-classification", DW, "step1_train_dw.py")
PREDICTOR = Task("predictor", "qs-regression", QS, "step3_train_qs.py")


def digits(temperature: str) -> str:
    """T without its dot, as the names of models and pretraining sets carry it: ``0.062`` gives ``0062``."""
    return temperature.replace(".", "")


class Below:
    """A path below the workspace's root; ``{T}`` stands for the temperature."""

    def __init__(self, template: str) -> None:
        self._template = template

    def __get__(self, owner: "Workspace | StatePoint", _: type | None = None) -> Path:
        if isinstance(owner, Workspace):
            return owner.root / self._template
        return owner.workspace.root / self._template.format(T=owner.temperature)


class _Result:
    """A file of exact results; a share of a run has its own beside the others."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, at: "StatePoint", _: type | None = None) -> Path:
        return at.result(self._name)


@dataclass(frozen=True)
class Workspace:
    """The data folders below one root."""

    root: Path
    ij_decimals: int = 10
    reading: Reading = AS_USUAL

    settings = Below("config.yaml")
    output = Below("output_ML")
    report = Below("output_ML/report.html")
    classifier_performance = Below("output_ML/dw_classifier_performances.txt")
    tls_densities = Below("output_ML/tls_density.png")
    tls_comparison = Below("output_ML/tls_comparison.png")

    def at(self, temperature: str) -> "StatePoint":
        """The files of one temperature, written as in the folders' names."""
        return StatePoint(self, temperature)

    def minimum(self, folder: Path, energy: str) -> Path:
        """``energy``: per particle in ε, as it shall stand in the name."""
        return folder / f"{energy}.conf"

    def lock(self, script: str, temperature: str | None) -> Path:
        """Held by the process of a script that writes the files of one temperature, or of all (None)."""
        name = script if temperature is None else f"{script}-T{temperature}"
        return self.output / ".locks" / f"{name}.lock"

    def true_against_predicted(self, pairs: str) -> Path:
        """``pairs``: ``trainingset`` or ``testset``."""
        return self.output / f"qs-true_vs_AI_{pairs}.png"

    def temperatures(self) -> list[str]:
        """Every T with minima, pair tables or NEB results, smallest first."""
        names = {path.name[1:] for path in self._temperature_folders() if path.name.startswith("T")}
        return sorted((name for name in names if _is_number(name)), key=lambda name: (float(name), name))

    def misnamed_temperatures(self) -> list[Path]:
        """Folders beside those of the temperatures whose names look like one and are none: ``0.062``, ``T=0.062``."""
        looks = re.compile(r"T?[\s=_]*[\d.]+.*")
        folders = (path for path in self._temperature_folders() if looks.fullmatch(path.name))
        return [path for path in folders if not (path.name.startswith("T") and _is_number(path.name[1:]))]

    def _temperature_folders(self) -> list[Path]:
        parents = (self.at("").minima.parent, self.at("").pairs.parent, self.at("").neb.parent)
        return sorted(path for parent in parents if parent.is_dir() for path in parent.iterdir() if path.is_dir())


@dataclass(frozen=True)
class StatePoint:
    """The files of one temperature."""

    workspace: Workspace
    temperature: str
    share: str = ""

    minima = Below("Configurations/minima/T{T}")
    pairs = Below("Configurations/pairs/T{T}")
    neb = Below("NEB_calculations/T{T}")
    non_dw = _Result("NON-DW.txt")
    unfinished = _Result("unfinished.csv")  # pairs whose exact calculation gave no verdict
    calculations = _Result("calculations.csv")  # the verdict and cost of each exact calculation
    output = Below("output_ML/T{T}")
    seen_minima = Below("output_ML/T{T}/minima.csv")
    classified = Below("output_ML/T{T}/DW_T{T}.csv")
    classified_features = Below("output_ML/T{T}/DW_T{T}.feather")  # the same pairs with all features
    splitting_cdf = Below("output_ML/T{T}/splitting_cdf_T{T}.png")
    search_efficiency = Below("output_ML/T{T}/TLS-search-efficiency.png")
    double_wells = Below("output_ML/T{T}/double_wells.csv")
    tls_pictures = Below("output_ML/T{T}/pictures")  # folder of the pictures of TLS, named as the paths
    tls_density = Below("output_ML/T{T}/tls_density.csv")
    tls_statistics = Below("output_ML/T{T}/tls_statistics.png")
    tls_planes = Below("output_ML/T{T}/tls_planes.png")
    rearrangements = Below("output_ML/T{T}/rearrangements.png")
    rearrangement_numbers = Below("output_ML/T{T}/rearrangements.feather")  # of every pair that was asked for

    @property
    def decimals(self) -> int:
        """To which the names of two minima are equal."""
        return self.workspace.ij_decimals

    def of_share(self, share: str) -> "StatePoint":
        """The same, as a share of a run sees it."""
        return replace(self, share=share)

    def glass(self, conf: int) -> Path:
        return self.minima / f"Cnf-{conf}"

    def unfinished_glass(self, conf: int) -> Path:
        """Where a glass is put together; step 0 passes over hidden folders."""
        return self.minima / f".Cnf-{conf}.part"

    def transitions(self, conf: int) -> Path:
        return self.workspace.root / "Configurations" / "transitions" / f"T{self.temperature}" / f"Cnf-{conf}.csv"

    def result(self, name: str) -> Path:
        """A file of exact results, of this share if it is one."""
        folder = self.neb
        return folder / "shares" / f"{self.share}.{name}" if self.share else folder / name

    @property
    def splittings(self) -> list[Path]:
        """The splittings files that are there; both spellings are in use."""
        names = ("Qs_calculations.txt", "Qs_calcuations.txt")
        return [path for name in names if (path := self.result(name)).exists()]

    @property
    def new_splittings(self) -> Path:
        """The splittings file to which results are added: the one that is read last, for the last result counts."""
        return (self.splittings or [self.result("Qs_calculations.txt")])[-1]

    @property
    def neb_files(self) -> list[Path]:
        """All that says which pairs are calculated."""
        places = (self, *self.shares)
        return [path for one in places for path in (one.non_dw, *one.splittings, one.unfinished)]

    @property
    def shares(self) -> list["StatePoint"]:
        """The shares that have left results which are not merged yet."""
        found = {path.name.split(".")[0] for path in (self.neb / "shares").glob("[1-9]*-of-[1-9]*.*")}
        named = [self.of_share(share) for share in sorted(found) if re.fullmatch(r"[1-9]\d*-of-[1-9]\d*", share)]
        return [share for share in named if any(path.exists() for path in share.result_files)]

    @property
    def result_files(self) -> list[Path]:
        """All files to which exact results go, of a share its own; they need not be there."""
        return [self.non_dw, *self.splittings, self.unfinished, self.calculations, self.neb_paths("jsonl")]

    def pretraining(self, task: Task) -> Path:
        return self.workspace.root / "MLmodel" / f"pretraining-{task.name}-T{digits(self.temperature)}.feather"

    def pretraining_sets(self, task: Task) -> list[Path]:
        """The pretraining sets that are there: that of the contract, and further ones with ``-NAME`` at the end."""
        first = self.pretraining(task)
        others = sorted(first.parent.glob(f"{first.stem}-*.feather"))
        return [path for path in (first, *others) if path.exists()]

    def glass_pairs(self, conf: int) -> Path:
        return self.pairs / f"Cnf-{conf}.feather"

    @property
    def pair_tables(self) -> list[Path]:
        return sorted(path for path in self.pairs.glob("*.feather") if not path.name.startswith("."))

    def model(self, task: Task) -> Path:
        return self.workspace.root / "MLmodel" / f"{task.folder}-T{digits(self.temperature)}"

    def model_set(self, task: Task, subset: str) -> Path:
        """``subset``: ``train``, ``test`` or ``used``, the data used so far."""
        return self.model(task) / f"{subset}.feather"

    def card(self, task: Task) -> Path:
        return self.model(task) / "card.json"

    def new_model(self, task: Task) -> Path:
        """Where a model is trained, before it takes the place of the last."""
        return self.model(task).with_name(f".{self.model(task).name}.new")

    def old_model(self, task: Task) -> Path:
        """The last model, while it is replaced."""
        return self.model(task).with_name(f".{self.model(task).name}.old")

    def training_lock(self, task: Task) -> Path:
        """Held by the process that trains a model, whatever workspaces share it."""
        return self.workspace.root / "MLmodel" / ".locks" / f"{task.folder}-T{digits(self.temperature)}.lock"

    def training_log(self, task: Task) -> Path:
        return self.workspace.root / "MLmodel" / f"{task.folder}-T{digits(self.temperature)}.log"

    def predicted(self, pairs: str) -> Path:
        """``pairs``: ``allpairs`` or ``newpairs``."""
        return self.output / f"predictedQs_T{self.temperature}_{pairs}.csv"

    def reliability(self, what: str) -> Path:
        """``what``: ``dw`` or ``tls``."""
        return self.output / f"reliability-{what}.png"

    def shap(self, task: Task, of: str = "") -> Path:
        """``of``: ``pair-`` for the picture of one pair."""
        return self.output / f"shap-{of}{task.name}.png"

    def neb_paths(self, kind: str) -> Path:
        """``kind``: ``jsonl``, the profiles, or ``png``, the picture."""
        if self.share:
            return self.result(f"neb_paths.{kind}")
        return self.output / f"neb_paths.{kind}"

    def path(self, conf: int, i: str, j: str) -> Path:
        """The images between two minima; ``i`` and ``j`` as in the lines of the NEB files."""
        return self.output / "paths" / f"Cnf-{conf}_{i}_{j}.extxyz"

    def exported_minima(self, conf: int) -> Path:
        """The minima of a glass for other programs, in one file."""
        return self.output / "minima" / f"Cnf-{conf}.extxyz"

    def observables(self, kind: str) -> Path:
        """``kind``: ``csv``, or the format of the picture."""
        return self.output / f"observables.{kind}"

    def rounds(self, kind: str) -> Path:
        """``kind``: ``csv`` or ``png``."""
        return self.output / f"rounds.{kind}"

    def has_labels(self, task: Task) -> bool:
        """Whether there is a file from which a model could learn."""
        places = (self, *self.shares)
        others = any(one.non_dw.exists() for one in places) and task == CLASSIFIER
        splittings = any(one.splittings for one in places)
        return others or splittings or bool(self.pretraining_sets(task))

    @property
    def glasses(self) -> dict[int, Path]:
        """Folders ``Cnf-{conf}`` with minima, by their number."""
        return {int(path.name[4:]): path for path in self._in_minima if _is_glass(path)}

    @property
    def has_glasses(self) -> bool:
        """Whether there is anything where glasses should be."""
        return bool(self._in_minima)

    @property
    def misnamed_glasses(self) -> list[Path]:
        """What stands beside them: under another name, or not readable."""
        return [path for path in self._in_minima if not _is_glass(path)]

    @property
    def _in_minima(self) -> list[Path]:
        folder = self.minima
        return sorted(path for path in folder.glob("[!.]*")) if folder.is_dir() else []


def minimum_paths(folder: Path) -> list[Path]:
    """All files of a glass but hidden ones, sorted by name, those in folders of single minima too.

    Whether they are minima is told when they are read.
    """
    found = []
    for path in filter(_may_be_minimum, sorted(folder.iterdir())):
        readable = path.is_dir() and os.access(path, os.R_OK | os.X_OK)
        inside = sorted(one for one in path.iterdir() if one.is_file()) if readable else []
        found += list(filter(_may_be_minimum, inside)) or [path]
    return found


def _may_be_minimum(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in (RELAXED, ENERGIES)


def glass_of(path: Path) -> Path:
    """The folder of the glass to which a file of minima belongs."""
    above = path.parent.parent
    return above if above.name.startswith("Cnf-") and not path.parent.name.startswith("Cnf-") else path.parent


def minimum_name(path: Path) -> str:
    """A file as lists name it: its path below the folder of the glass."""
    return path.relative_to(glass_of(path)).as_posix()


def inputs_of(files: Sequence[Path]) -> list[Path]:
    """All that decides which minima a glass has: its files, and what stands beside them of energies and relaxations."""
    glass = glass_of(files[0])
    beside = {folder / ENERGIES for folder in {glass, *(path.parent for path in files)}} | {glass / RELAXED}
    return [*files, *(path for path in sorted(beside) if path.exists())]


def _is_glass(path: Path) -> bool:
    named = re.fullmatch(r"Cnf-(0|[1-9][0-9]{0,17})", path.name) is not None
    return named and path.is_dir() and os.access(path, os.R_OK | os.X_OK)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None


class Share(NamedTuple):
    """The ``number``-th of so many ``parts``, from 1."""

    number: int
    parts: int

    @property
    def name(self) -> str:
        """As files carry it."""
        return f"{self.number}-of-{self.parts}"
