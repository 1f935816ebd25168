"""LAMMPS data in every atom_style of points, as people have them."""

import gzip
import lzma

import numpy as np
import pytest
from small_metal import E_HIGH, E_LOW, HIGH, KINDS, LOW, MINIMA, NAMES, ROWS, N, both, data, is_refused, is_right, of


@pytest.mark.parametrize("flags", ["", " 0 -1 2"])
@pytest.mark.parametrize("style", ROWS)
def test_lammps_data_in_every_style_of_points(tmp_path, style, flags):
    def text(places):
        lines = data(places, ROWS[style], f" # {style}").split("\n")
        start = lines.index(f"Atoms # {style}") + 2
        return "\n".join([*lines[:start], *(line + flags * bool(line) for line in lines[start:])])

    both(of(tmp_path), text, "{}.data")
    is_right(tmp_path)


@pytest.mark.parametrize(("style", "clear"), [("atomic", True), ("charge", True), ("bond", False), ("sphere", True)])
def test_a_style_that_is_not_named_is_inferred_where_one_fits_and_asked_for_elsewhere(tmp_path, style, clear):
    rows = {**ROWS, "charge": lambda k: f"{KINDS[k]} {0.85 + 0.01 * k}"}
    both(of(tmp_path), lambda places: data(places, rows[style]), "{}.lmp")
    is_right(tmp_path) if clear else is_refused(tmp_path, "charge or molecular", "Atoms #")


def test_type_labels_gaps_in_ids_other_orders_and_latin_1(tmp_path):
    labels = ["Atom Type Labels", "", "1 Cu", "2 Zr", ""]
    order = np.random.default_rng(1).permutation(N)

    def text(places):
        lines = data(places, lambda k: f"{NAMES[KINDS[k]]} 0.0", " # charge", sections=labels, ids=3 * np.arange(N) + 5)
        head, _, atoms = lines.partition("Atoms # charge\n\n")
        head = head.replace("1 63.5", "Cu 63.5").replace("2 91.2", "Zr 91.2")
        rows = [f"{row}  # caf\xe9" for row in atoms.split("\n") if row]
        shuffled = [rows[k] for k in (order if places is LOW else order[::-1])]
        masses = head[head.index("Masses") :]
        return head.replace(masses, "") + "Atoms # charge\n\n" + "\n".join(shuffled) + "\n\n" + masses + "\n"

    both(of(tmp_path), text, "{}.data", lambda path, content: path.write_bytes(content.encode("latin-1")))
    is_right(tmp_path)


def test_a_triclinic_data_file_and_the_same_lattice_tilted_otherwise(tmp_path):
    for places, energy, xy in ((LOW, E_LOW, 4.5), (HIGH, E_HIGH, -4.5)):
        text = data(places, ROWS["atomic"], " # atomic", f"{xy} 0 0 xy xz yz")
        (of(tmp_path) / f"{energy / N:.10f}.data").write_text(text)
    is_right(tmp_path)


def test_packed_files_and_windows_lines(tmp_path):
    pack = lambda path, text: path.write_bytes(gzip.compress(text.replace("\n", "\r\n").encode("utf-8-sig")))  # noqa: E731
    both(of(tmp_path), lambda places: data(places, ROWS["full"], " # full"), "{}.data.gz", pack)
    is_right(tmp_path)


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_a_packed_file_that_is_damaged_is_left_out_and_said_so(tmp_path, ending, pack):
    folder = of(tmp_path)
    both(folder, lambda places: data(places, ROWS["atomic"], " # atomic"), "{}.data")
    whole = sorted(folder.iterdir())[0]
    packed = bytearray(pack(whole.read_bytes()))
    packed[18:60] = bytes(42)
    (folder / f"{whole.name}.{ending}").write_bytes(packed)
    whole.unlink()
    is_refused(tmp_path, "the packed file is damaged")


def test_totals_in_names_are_noticed(tmp_path):
    for places, energy in MINIMA:
        (of(tmp_path) / f"{energy}.data").write_text(data(places, ROWS["atomic"], " # atomic"))
    is_refused(tmp_path, "total", "24")
