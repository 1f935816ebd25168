"""The picture of double wells as points: what is drawn where, and what it says of what is not known."""

import numpy as np
import pandas as pd

from pipeline.settings import Settings
from reporting.planes import draw_planes

WELLS = pd.DataFrame(
    {
        "quantum_splitting": [5e-4, 1e-3, 4e-3],
        "level_asymmetry": [3e-4, 1e-3, np.nan],
        "tunnelling_amplitude": [4e-4, 0.0, 3e-3],
        "barrier": [0.02, 0.1, 0.05],
        "PR": [3.0, 5.0, 7.0],
        "gamma_l": [1.0, 2.0, 0.5],
        "gamma_t": [0.8, 1.7, 0.4],
    }
)


def drawn(wells=WELLS, volume=100.0):
    return draw_planes(wells, volume, Settings(), "T = 0.1").figure


def places(ax):
    return np.concatenate([points.get_offsets() for points in ax.collections])


def test_tls_are_told_apart_and_what_is_below_the_edge_stands_there():
    figure = drawn()
    plane, _, barriers, couplings = figure.axes[:4]
    np.testing.assert_allclose(places(plane), [[3e-4, 4e-4], [1e-3, 1e-12]])
    assert plane.get_title() == "1 with Δ or Δ₀ below 1e-12 ε, drawn there"
    assert sorted(len(points.get_offsets()) for points in barriers.collections) == [1, 2]
    assert "2 of 3" in figure.get_suptitle()
    assert len(places(couplings)) == 3


def test_the_number_of_double_wells_steps_at_each_splitting():
    x, y = drawn().axes[1].get_lines()[0].get_data()
    np.testing.assert_allclose(x[1:], WELLS["quantum_splitting"])
    np.testing.assert_allclose(y[1:], [0.01, 0.02, 0.03])
