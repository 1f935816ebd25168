"""The two things that are learnt: whether a pair is a double well, and its quantum splitting."""

from dataclasses import dataclass

DW = "is_dw"
"""Column of labels: 1 for a double well, 0 for a non-DW."""

QS = "quantum_splitting"
"""Column of labels: E₁ − E₀ of a double well in ε."""


@dataclass(frozen=True)
class Task:
    """What one model learns.

    Attributes
    ----------
    name : str
        Its section in config.yaml and the word in the name of its pretraining set.
    folder : str
        Beginning of the name of its model's folder.
    target : str
        Column to learn.
    script : str
        The step that trains it.
    """

    name: str
    folder: str
    target: str
    script: str


CLASSIFIER = Task("classifier", "dw-classification", DW, "step1_train_dw.py")
PREDICTOR = Task("predictor", "qs-regression", QS, "step3_train_qs.py")
