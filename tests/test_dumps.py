"""LAMMPS dumps with any columns and boxes."""

import pytest
from small_metal import (
    E_HIGH,
    E_LOW,
    HIGH,
    KINDS,
    LOW,
    NAMES,
    SIDES,
    N,
    both,
    dump,
    is_refused,
    is_right,
    line,
    numbers,
    of,
)
from steps import run

TILTED = "0 11.0 2.0\n-1.0 8.0 0.0\n0 7.0 -1.0"  # bounds of xlo 0, xhi 9, ylo 0, yhi 8; xy 2, xz 0, yz −1


@pytest.mark.parametrize(
    "text",
    [
        lambda places: dump(places, flags=""),
        lambda places: dump(places, before="ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n", order=range(N - 1, -1, -1)),
        lambda places: dump(places, "id type xs ys zs", lambda k: line(k, places[k] / SIDES)),
        lambda places: dump(places, "id type xu yu zu", lambda k: line(k, places[k] + SIDES * [k % 3, -k % 2, 0])),
        lambda places: dump(places, "id type xsu ysu zsu", lambda k: line(k, places[k] / SIDES + [0, k % 2, 1])),
        lambda places: dump(
            places,
            "element x y z q id mol mass radius",
            lambda k: f"{NAMES[KINDS[k]]} {numbers(places[k])} {k % 2 - 0.5} {k + 1} 1 2.5 0.6",
        ),
        lambda places: dump(places, flags=" xy xz yz pp pp pp", bounds=TILTED),
        lambda places: dump(places, flags=" pp pp ff"),
    ],
)
def test_dumps_with_any_columns_and_boxes(tmp_path, text):
    both(of(tmp_path), text, "{}.dump")
    is_right(tmp_path)


@pytest.mark.parametrize("lost", [3, N - 1])
def test_an_atom_whose_line_is_blank_is_not_passed_over(tmp_path, lost):
    both(
        of(tmp_path),
        lambda places: dump(
            places,
            "element x y z",
            lambda k: f"{NAMES[KINDS[k]]} {numbers(places[k])}" * (k != lost),
        ),
        "{}.dump",
    )
    is_refused(tmp_path, "0 columns")


def test_many_snapshots_with_energies_beside_or_in_a_column(tmp_path):
    folder = of(tmp_path)
    (folder / "all.dump").write_text(dump(LOW) + dump(HIGH))
    (folder / "energies.csv").write_text(f"file,frame,energy\nall.dump,0,{E_LOW}\nall.dump,1,{E_HIGH}\n")
    is_right(tmp_path)
    (folder / "energies.csv").write_text(
        f"file,frame,energy\nall.dump,0,{E_LOW}\nall.dump,1,{E_HIGH}\nall.dump,2,-70\n"
    )
    assert "all.dump, frame 2, is not there" in run("step0_collect", tmp_path).stdout
    (folder / "energies.csv").unlink()
    is_refused_for_energy = run("step0_collect", tmp_path)
    assert "has no energy" in is_refused_for_energy.stdout
    folder = of(tmp_path, energy_key="c_pe")

    def with_column(places, energy):
        return dump(places, "id type x y z c_pe", lambda k: line(k, [*places[k], energy / N]))

    (folder / "all.dump").write_text(with_column(LOW, E_LOW) + with_column(HIGH, E_HIGH))
    is_right(tmp_path)
