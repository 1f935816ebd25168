"""Where every file of a workspace stands: other modules ask here for its path."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.task import CLASSIFIER, Task


def digits(temperature: str) -> str:
    """T without its dot, as the names of models and pretraining sets carry it: ``0.062`` gives ``0062``."""
    return temperature.replace(".", "")


@dataclass(frozen=True)
class Workspace:
    """The data folders below one root.

    Temperatures are text throughout, written as in the folders' names.
    """

    root: Path
    share: str = ""
    """``1-of-4``: exact results go to the files of this share; all else stands where it does without."""

    @property
    def settings(self) -> Path:
        return self.root / "config.yaml"

    # Inputs
    def minima(self, temperature: str) -> Path:
        return self.root / "Configurations" / "minima" / f"T{temperature}"

    def glass(self, temperature: str, conf: int) -> Path:
        return self.minima(temperature) / f"Cnf-{conf}"

    def unfinished_glass(self, temperature: str, conf: int) -> Path:
        """Where a glass is put together; step 0 passes over hidden folders."""
        return self.minima(temperature) / f".Cnf-{conf}.part"

    def minimum(self, folder: Path, energy: str) -> Path:
        """``energy``: per particle in ε, as it shall stand in the name."""
        return folder / f"{energy}.conf"

    def transitions(self, temperature: str, conf: int) -> Path:
        return self.root / "Configurations" / "transitions" / f"T{temperature}" / f"Cnf-{conf}.csv"

    def neb(self, temperature: str) -> Path:
        return self.root / "NEB_calculations" / f"T{temperature}"

    def _neb_file(self, temperature: str, name: str) -> Path:
        folder = self.neb(temperature)
        return folder / "shares" / f"{self.share}.{name}" if self.share else folder / name

    def non_dw(self, temperature: str) -> Path:
        return self._neb_file(temperature, "NON-DW.txt")

    def splittings(self, temperature: str) -> list[Path]:
        """The splittings files that are there; both spellings are in use."""
        names = ("Qs_calculations.txt", "Qs_calcuations.txt")
        return [path for name in names if (path := self._neb_file(temperature, name)).exists()]

    def new_splittings(self, temperature: str) -> Path:
        """The splittings file to which results are added: the one that is read last, for the last result counts."""
        return (self.splittings(temperature) or [self._neb_file(temperature, "Qs_calculations.txt")])[-1]

    def unfinished(self, temperature: str) -> Path:
        """Pairs whose exact calculation gave no verdict."""
        return self._neb_file(temperature, "unfinished.csv")

    def calculations(self, temperature: str) -> Path:
        """What each exact calculation came to and cost."""
        return self._neb_file(temperature, "calculations.csv")

    def neb_files(self, temperature: str) -> list[Path]:
        """All that says which pairs are calculated."""
        places = (self, *self.shares(temperature))
        return [
            path
            for one in places
            for path in (one.non_dw(temperature), *one.splittings(temperature), one.unfinished(temperature))
        ]

    def of_share(self, share: str) -> "Workspace":
        """The same workspace, as a share of a run sees it."""
        return replace(self, share=share)

    def shares(self, temperature: str) -> list["Workspace"]:
        """The shares that have left results which are not merged yet."""
        found = (path.name.split(".")[0] for path in (self.neb(temperature) / "shares").glob("[1-9]*-of-[1-9]*.*"))
        return [self.of_share(share) for share in sorted(set(found))]

    def pretraining(self, task: Task, temperature: str) -> Path:
        return self.root / "MLmodel" / f"pretraining-{task.name}-T{digits(temperature)}.feather"

    def pretraining_sets(self, task: Task, temperature: str) -> list[Path]:
        """The pretraining sets that are there: that of the contract, and further ones with ``-NAME`` at the end."""
        first = self.pretraining(task, temperature)
        others = sorted(first.parent.glob(f"{first.stem}-*.feather"))
        return [path for path in (first, *others) if path.exists()]

    # Pair tables
    def pairs(self, temperature: str) -> Path:
        return self.root / "Configurations" / "pairs" / f"T{temperature}"

    def glass_pairs(self, temperature: str, conf: int) -> Path:
        return self.pairs(temperature) / f"Cnf-{conf}.feather"

    def pair_tables(self, temperature: str) -> list[Path]:
        return sorted(path for path in self.pairs(temperature).glob("*.feather") if not path.name.startswith("."))

    # Models
    def model(self, task: Task, temperature: str) -> Path:
        return self.root / "MLmodel" / f"{task.folder}-T{digits(temperature)}"

    def model_set(self, task: Task, temperature: str, subset: str) -> Path:
        """``subset``: ``train``, ``test`` or ``used``, the data used so far."""
        return self.root / "MLmodel" / f"{task.folder}-T{digits(temperature)}-{subset}.feather"

    def card(self, task: Task, temperature: str) -> Path:
        return self.model(task, temperature) / "card.json"

    def autogluon(self, task: Task, temperature: str, name: str) -> Path:
        """``name``: of one training, as the card gives it."""
        return self.model(task, temperature) / name

    def current(self, task: Task, temperature: str) -> Path:
        """Link to AutoGluon's folder of the last complete training, which holds its card and sets too."""
        return self.model(task, temperature) / "current"

    def training_lock(self, task: Task, temperature: str) -> Path:
        """Held by the process that trains a model, whatever workspaces share it."""
        return self.root / "MLmodel" / ".locks" / f"{task.folder}-T{digits(temperature)}.lock"

    def training_log(self, task: Task, temperature: str) -> Path:
        return self.root / "MLmodel" / f"{task.folder}-T{digits(temperature)}.log"

    # Outputs
    @property
    def _output(self) -> Path:
        return self.root / "output_ML"

    def _output_of(self, temperature: str) -> Path:
        return self._output / f"T{temperature}"

    def lock(self, script: str, temperature: str | None) -> Path:
        """Held by the process of a script that writes the files of one temperature, or of all (None)."""
        name = script if temperature is None else f"{script}-T{temperature}"
        return self._output / ".locks" / f"{name}.lock"

    def rejected(self, temperature: str) -> Path:
        return self._output_of(temperature) / "step0_rejected.csv"

    def double_wells(self, temperature: str) -> Path:
        return self._output_of(temperature) / f"DW_T{temperature}.csv"

    def predicted(self, temperature: str, pairs: str) -> Path:
        """``pairs``: ``allpairs`` or ``newpairs``."""
        return self._output_of(temperature) / f"predictedQs_T{temperature}_{pairs}.csv"

    @property
    def report(self) -> Path:
        return self._output / "report.html"

    @property
    def classifier_performance(self) -> Path:
        return self._output / "dw_classifier_performances.txt"

    def true_against_predicted(self, pairs: str) -> Path:
        """``pairs``: ``trainingset`` or ``testset``."""
        return self._output / f"qs-true_vs_AI_{pairs}.png"

    def splitting_cdf(self, temperature: str) -> Path:
        return self._output_of(temperature) / f"splitting_cdf_T{temperature}.png"

    def reliability(self, temperature: str, what: str) -> Path:
        """``what``: ``dw`` or ``tls``."""
        return self._output_of(temperature) / f"reliability-{what}.png"

    def shap(self, task: Task, temperature: str, of: str = "") -> Path:
        """``of``: ``pair-`` for the picture of one pair."""
        return self._output_of(temperature) / f"shap-{of}{task.name}.png"

    def search_efficiency(self, temperature: str) -> Path:
        return self._output_of(temperature) / "TLS-search-efficiency.png"

    def neb_paths(self, temperature: str, kind: str) -> Path:
        """``kind``: ``jsonl``, the profiles, or ``png``, the picture."""
        if self.share:
            return self._neb_file(temperature, f"neb_paths.{kind}")
        return self._output_of(temperature) / f"neb_paths.{kind}"

    def path(self, temperature: str, conf: int, i: str, j: str) -> Path:
        """The images between two minima; ``i`` and ``j`` as in the lines of the NEB files."""
        return self._output_of(temperature) / "paths" / f"Cnf-{conf}_{i}_{j}.extxyz"

    def tls_pictures(self, temperature: str) -> Path:
        """The folder of the pictures of TLS, named as the paths."""
        return self._output_of(temperature) / "pictures"

    def tls_density(self, temperature: str) -> Path:
        return self._output_of(temperature) / "tls_density.csv"

    @property
    def tls_densities(self) -> Path:
        """The picture of all temperatures."""
        return self._output / "tls_density.png"

    @property
    def tls_comparison(self) -> Path:
        return self._output / "tls_comparison.png"

    def exported_minima(self, temperature: str, conf: int) -> Path:
        """The minima of a glass for other programs, in one file."""
        return self._output_of(temperature) / "minima" / f"Cnf-{conf}.extxyz"

    def calculated_double_wells(self, temperature: str) -> Path:
        return self._output_of(temperature) / "double_wells.csv"

    def tls_statistics(self, temperature: str) -> Path:
        return self._output_of(temperature) / "tls_statistics.png"

    def rearrangements(self, temperature: str) -> Path:
        return self._output_of(temperature) / "rearrangements.png"

    def rounds(self, temperature: str, kind: str) -> Path:
        """``kind``: ``csv`` or ``png``."""
        return self._output_of(temperature) / f"rounds.{kind}"

    # What is there
    def has_labels(self, task: Task, temperature: str) -> bool:
        """Whether there is a file from which a model could learn."""
        places = (self, *self.shares(temperature))
        others = any(one.non_dw(temperature).exists() for one in places) and task == CLASSIFIER
        splittings = any(one.splittings(temperature) for one in places)
        return others or splittings or bool(self.pretraining_sets(task, temperature))

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
        parents = (self.minima("").parent, self.pairs("").parent, self.neb("").parent)
        return sorted(path for parent in parents if parent.is_dir() for path in parent.iterdir() if path.is_dir())

    def glasses(self, temperature: str) -> dict[int, Path]:
        """Folders ``Cnf-{conf}`` with minima, by their number."""
        return {int(path.name[4:]): path for path in self._in_minima(temperature) if _is_glass(path)}

    def has_glasses(self, temperature: str) -> bool:
        """Whether there is anything where glasses should be."""
        return bool(self._in_minima(temperature))

    def misnamed_glasses(self, temperature: str) -> list[Path]:
        """What stands beside them: under another name, or not readable."""
        return [path for path in self._in_minima(temperature) if not _is_glass(path)]

    def _in_minima(self, temperature: str) -> list[Path]:
        folder = self.minima(temperature)
        return sorted(path for path in folder.glob("[!.]*")) if folder.is_dir() else []


def _is_glass(path: Path) -> bool:
    named = re.fullmatch(r"Cnf-(0|[1-9]\d{0,17})", path.name) is not None
    return named and path.is_dir() and os.access(path, os.R_OK | os.X_OK)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None
