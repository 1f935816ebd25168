"""TLS found against NEBs run, on glasses of the example that no model saw: the first picture of the README.

python -m benchmarks.unseen_glasses [--seeds 3] [--picture FILE.png]

The glasses that ship as rows are dealt into five folds, for the first seed as in example/glasses.csv. The models of
steps 1 and 3 are trained on four of them, and rank the pairs of the fifth as steps 2 and 4 do; beside them a list as
published: one model of each kind, and no neighbourhood. Every pair from the top costs one NEB.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from lightgbm import LGBMClassifier, LGBMRegressor

from example.make import EXAMPLE, FOLDS, T, glasses_of
from glass.arrays import Array
from MLmodel.chances import tls_chances
from MLmodel.learner import fit, load, to_learn
from MLmodel.metrics import nebs_to_find
from MLmodel.out_of_fold import out_of_fold
from pipeline.formats.keys import PAIR_COLUMNS
from pipeline.formats.pair_tables import NEIGHBOURHOOD, feature_columns
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, DW, PREDICTOR, QS, Task, Workspace
from reporting.style import BLUE, GREY, ORANGE, Picture, panels

SETTINGS = Settings()
TREES: dict[str, Any] = {"n_estimators": 200, "learning_rate": 0.05, "random_state": 0, "n_jobs": 1, "verbose": -1}
"""Plain boosted trees, for comparisons."""

Models = tuple[Array, Array]
"""Probability of a double well and splitting in ε, each of shape (n_pairs,)."""

LONGEST = 200  # NEBs in the picture


def feature_names(table: pd.DataFrame, *others: str) -> list[str]:
    """Features among the columns of a table in memory, less ``others``."""
    columns = feature_columns(pa.Schema.from_pandas(table, preserve_index=False))
    return [name for name in columns if name not in others]


def main() -> None:
    """Train, rank and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    table, folds = labelled(Workspace(EXAMPLE))
    features = feature_names(table)
    curves: dict[str, list[Array]] = {"this project": [], "as published": [], "chance": [], "ideal": []}
    for seed in range(given.seeds):
        for fold in range(1, FOLDS + 1):
            known = table["conf"].map(folds) != fold
            train, test = table[known], table[~known].reset_index(drop=True)
            is_tls = (test[QS] < SETTINGS.tls_threshold).to_numpy()
            for name, order in (
                ("this project", our_list(train, test, features)),
                ("as published", published_list(train, test, features)),
            ):
                curves[name].append(np.cumsum(is_tls[order]))
            pairs, tls = np.arange(1, len(test) + 1), is_tls.sum()
            curves["chance"].append(pairs * tls / len(test))
            curves["ideal"].append(np.minimum(pairs, tls))
        folds = dealt(folds, seed + 1)
    tls = [int(one[-1]) for one in curves["ideal"]]
    print(f"{given.seeds} times {FOLDS} folds of unseen glasses, {min(tls)} to {max(tls)} TLS in each")
    for name in ("this project", "as published"):
        half, most = (median_nebs(curves[name], tls, part) for part in (0.5, 0.9))
        listed = np.mean([one[-1] / count for one, count in zip(curves[name], tls, strict=True)])
        print(
            f"  {name}: median NEBs to half of the TLS {half:.0f}, to 90 % {most:.0f}; {listed:.0%} of the TLS listed"
        )
    if given.picture:
        written = drawn(curves, tls).save(given.picture, ["png"])
        print(f"picture: {', '.join(map(str, written))}")


def labelled(work: Workspace) -> tuple[pd.DataFrame, dict[int, int]]:
    """The example's rows with both labels, and the fold of each glass."""
    wells = pd.read_feather(work.at(T).pretraining(PREDICTOR))[[*PAIR_COLUMNS, QS]]
    table = pd.read_feather(work.at(T).pretraining(CLASSIFIER)).merge(wells, how="left", on=PAIR_COLUMNS)
    glasses = glasses_of(work).dropna(subset="fold")
    return table, dict(zip(glasses["conf"], glasses["fold"].astype(int), strict=True))


def dealt(folds: dict[int, int], seed: int) -> dict[int, int]:
    """Other folds of the same glasses, dealt out at random."""
    rng = np.random.default_rng(seed)
    glasses = rng.permutation(sorted(folds))
    return dict(zip(glasses.tolist(), (np.arange(len(glasses)) % FOLDS + 1).tolist(), strict=True))


def our_list(train: pd.DataFrame, test: pd.DataFrame, features: list[str]) -> Array:
    """As steps 1 to 4: pairs that may be double wells, best chance to be a TLS first."""
    wells = train[train[DW] == 1]
    chance, _ = trained(train, CLASSIFIER, features, test)
    splitting, unseen = trained(wells, PREDICTOR, features, test)
    tls = chance * tls_chances(wells[QS].to_numpy(), unseen, SETTINGS.tls_threshold)(splitting)
    order = np.lexsort((splitting, -tls))
    return np.asarray(order[chance[order] >= SETTINGS.classify.min_probability])


def trained(pairs: pd.DataFrame, task: Task, features: list[str], asked: pd.DataFrame) -> tuple[Array, Array]:
    """What a model of steps 1 or 3 predicts, and the out-of-fold predictions for the pairs it was trained on."""
    unseen, with_smooth = out_of_fold(pairs, features, task)
    limits = SETTINGS.classifier if task == CLASSIFIER else SETTINGS.predictor
    with tempfile.TemporaryDirectory() as folder:
        fit(to_learn(pairs, task, features), task, limits, SETTINGS.cores, Path(folder), with_smooth)
        return load(Path(folder), task)(asked[features].astype(np.float64)), unseen


def published(train: pd.DataFrame, test: pd.DataFrame, features: list[str], neighbourhood: bool = False) -> Models:
    """Trees with classes weighed alike and splittings weighed by 1/splitting."""
    columns = [name for name in features if neighbourhood or name not in NEIGHBOURHOOD]
    wells = train[train[DW] == 1]
    classifier = LGBMClassifier(**TREES, class_weight="balanced").fit(train[columns], train[DW])
    predictor = LGBMRegressor(**TREES).fit(wells[columns], np.log10(wells[QS]), sample_weight=1 / wells[QS])
    return np.asarray(classifier.predict_proba(test[columns]))[:, 1], 10 ** np.asarray(predictor.predict(test[columns]))


def published_list(train: pd.DataFrame, test: pd.DataFrame, features: list[str]) -> Array:
    """One model of each kind, without the neighbourhood: pairs called double wells, smallest splitting first."""
    chance, splitting = published(train, test, features)
    order = np.argsort(splitting, kind="stable")
    return np.asarray(order[chance[order] > 0.5])


def median_nebs(curves: list[Array], tls: list[int], part: float) -> float:
    """Median over folds of the NEBs to a part of all TLS; infinite where fewer are listed."""
    needed = [
        nebs_to_find(np.append(curve, count), part) if curve[-1] >= np.ceil(part * count) else np.inf
        for curve, count in zip(curves, tls, strict=True)
    ]
    return float(np.median(needed))


def drawn(curves: dict[str, list[Array]], tls: list[int]) -> Picture:
    """Part of the TLS found against NEBs: median, and the band from 10 to 90 % of the folds."""
    nebs = np.arange(LONGEST + 1)
    numbers = {"nebs": nebs}
    with panels(6.4, 4.6) as (figure, [ax]):
        for name, color, line in (
            ("ideal", "black", "-"),
            ("this project", BLUE, "-"),
            ("as published", ORANGE, "--"),
            ("chance", GREY, ":"),
        ):
            parts = np.array(
                [
                    np.append(0, one)[np.minimum(nebs, len(one))] / count
                    for one, count in zip(curves[name], tls, strict=True)
                ]
            )
            low, middle, high = 100 * np.quantile(parts, [0.1, 0.5, 0.9], axis=0)
            if name in ("this project", "as published"):
                ax.fill_between(nebs, low, high, color=color, alpha=0.2, lw=0, step="post")
            label = f"{name} (one model, no neighbourhood)" if name == "as published" else name
            ax.step(nebs, middle, color=color, ls=line, lw=1.8, where="post", label=label)
            numbers |= {f"{name}: {what} percent": one for what, one in (("10", low), ("50", middle), ("90", high))}
        ax.set(xlabel="exact calculations (NEBs) run", ylabel="TLS found (% of all)", xlim=(0, LONGEST), ylim=(0, 102))
        ax.set_title(f"glasses no model saw: median and 10–90 % of {len(tls)} folds")
    return Picture(figure, pd.DataFrame(numbers))


if __name__ == "__main__":
    main()
