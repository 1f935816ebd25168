"""What models are judged on where labels are few, and the warning that says so."""

import pytest

from MLmodel.model import few_labels
from pipeline.settings import Settings
from pipeline.workspace import CLASSIFIER, PREDICTOR


def test_the_warning_says_how_many_labels_there_are_and_how_many_it_takes():
    warning = "\n".join(few_labels([1] * 12 + [0] * 140, CLASSIFIER, Settings()))
    assert "few labels (double wells: 12, non-DW pairs: 140)" in warning
    assert "takes double wells: 100, non-DW pairs: 100" in warning  # 20 of each in a fifth
    assert "double wells is known to ±0.14" in warning  # 0.5 / √12
    assert "part of the non-DW" not in warning
    warning = "\n".join(few_labels([0.01] * 200, PREDICTOR, Settings(test_fraction=0.5)))
    assert "takes double wells: 60, TLS: 10" in warning
    assert "no TLS to learn from" in warning


@pytest.mark.parametrize(("labels", "task"), [([0, 1] * 100, CLASSIFIER), ([0.001] * 25 + [0.01] * 125, PREDICTOR)])
def test_nobody_is_warned_where_labels_are_enough(labels, task):
    assert few_labels(labels, task, Settings()) == []
