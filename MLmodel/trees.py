"""Boosted trees as arrays, and their predictions for many pairs at a time.

The libraries that grow trees walk down each of them pair by pair. Here a node is asked of a few hundred pairs at once,
one byte each, which a processor does in a few instructions; what a tree says is then looked up once.
"""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from MLmodel.metrics import Array
from pipeline.errors import UserError
from pipeline.files import atomic_write

MOST_LEAVES = 256
"""Of a tree: the place of a pair is a byte."""

_BLOCK = 512
"""Pairs at a time: their places and bins stay in the processor's first cache."""

_TOGETHER = 8
"""Trees whose leaves are looked up together."""

_BINS = 255
"""Edges of a feature that one byte tells apart; a feature with more has several columns of bytes."""

_MISSING, _ZERO = -1, -2
"""In place of the number of edges."""


class Node(NamedTuple):
    """A pair moves on by ``step`` if its value is ≥ ``edge`` and of its place the bits ``mask`` are ``match``."""

    feature: int
    edge: float
    missing: float
    zero: float
    """Values that stand for a missing one and for zero: −inf is never above an edge, inf always."""
    mask: int
    match: int
    step: int


class Tree(NamedTuple):
    """All pairs begin at place 0 and pass all nodes in turn; their places in the end are their leaves."""

    nodes: list[Node]
    leaves: list[float]


class Boosted(NamedTuple):
    """A model: bias + Σ leaves, of a classifier the logit of the probability; its weight among others."""

    trees: list[Tree]
    bias: float
    is_logit: bool
    weight: float


class Trees(NamedTuple):
    """The weighted sum of models whose trees are arrays; trees, nodes, … are numbered through over all models."""

    equal_to: Array
    """Shape (n_features,): NaN, or a value; then the trees see 1 where a feature has it and else 0."""
    edges: Array
    first_edge: NDArray[np.int64]
    """Sorted edges of each feature, and where they begin, shape (n_features + 1,): a power of two less one, for
    bisection, filled up with inf."""
    column_feature: NDArray[np.int64]
    column_missing: NDArray[np.int64]
    column_zero: NDArray[np.int64]
    column_offset: NDArray[np.int64]
    """Columns of bytes, shape (n_columns,): the number of edges of a feature that are not above its value, or that
    number of a missing one or of zero, less an offset, within 0 and 255."""
    node_column: NDArray[np.int64]
    node_bin: NDArray[np.uint8]
    node_mask: NDArray[np.uint8]
    node_match: NDArray[np.uint8]
    node_step: NDArray[np.uint8]
    """As in :class:`Node`, for pairs whose byte is above that of the node; shape (n_nodes,)."""
    first_node: NDArray[np.int64]
    leaves: Array
    first_leaf: NDArray[np.int64]
    """Where the nodes and leaves of each tree begin, shape (n_trees + 1,) and (n_trees,)."""
    first_tree: NDArray[np.int64]
    """Of each model, shape (n_models + 1,); differences are multiples of _TOGETHER."""
    bias: Array
    is_logit: NDArray[np.bool_]
    weight: Array
    """Of each model, shape (n_models,)."""

    def predict(self, features: pd.DataFrame) -> Array:
        """What the models say together of each pair, shape (n_pairs,); features of shape (n_pairs, n_features)."""
        columns = np.ascontiguousarray(features.to_numpy(np.float64).T)
        two_valued = ~np.isnan(self.equal_to)
        if two_valued.any():
            columns = np.where(two_valued[:, None], columns == self.equal_to[:, None], columns)
        sums = np.empty((len(self.bias), columns.shape[1]))
        _add_leaves(self, columns, sums)
        sums += self.bias[:, None]
        sums[self.is_logit] = expit(sums[self.is_logit])
        return np.asarray((self.weight[:, None] * sums).sum(axis=0))

    def save(self, path: Path) -> None:
        """Write all arrays to an ``.npz`` file."""
        with atomic_write(path) as part, open(part, "wb") as file:
            np.savez(file, **self._asdict())

    @classmethod
    def load(cls, path: Path) -> "Trees":
        """Read what :meth:`save` wrote."""
        return cls(**read_arrays(path, cls._fields))


def read_arrays(path: Path, names: Iterable[str], may_lack: Sequence[str] = ()) -> dict[str, Any]:
    """Arrays of an ``.npz`` file of a model.

    Raises
    ------
    UserError
        If it is damaged.
    """
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            return {name: file[name] for name in names if name in file or name not in may_lack}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged ({error}); remove the folder {path.parent} and train again") from None


def as_arrays(models: Sequence[Boosted], n_features: int, equal_to: dict[int, float]) -> Trees:
    """Models as arrays; ``equal_to`` as in :class:`Trees`, by the number of the feature."""
    models = [model._replace(trees=_filled(model.trees)) for model in models]
    trees = [tree for model in models for tree in model.trees]
    nodes = [node for tree in trees for node in tree.nodes]
    edges = [np.unique([node.edge for node in nodes if node.feature == k]) for k in range(n_features)]
    padded = [np.append(one, np.full((1 << len(one).bit_length()) - 1 - len(one), np.inf)) for one in edges]
    columns: dict[tuple[int, ...], int] = {}
    node_column, node_bin = [], []
    for node in nodes:
        rank = int(np.searchsorted(edges[node.feature], node.edge))
        offset = rank - rank % _BINS
        missing, zero = np.searchsorted(edges[node.feature], [node.missing, node.zero], side="right").tolist()
        node_column.append(columns.setdefault((node.feature, missing, zero, offset), len(columns)))
        node_bin.append(rank - offset)
    column = np.array(list(columns), np.int64).reshape(-1, 4).T.copy()
    byte = {name: np.array([getattr(node, name) for node in nodes], np.uint8) for name in ("mask", "match", "step")}
    return Trees(
        equal_to=np.array([equal_to.get(k, np.nan) for k in range(n_features)]),
        edges=np.concatenate([*padded, np.empty(0)]),
        first_edge=_firsts(padded),
        column_feature=column[0],
        column_missing=column[1],
        column_zero=column[2],
        column_offset=column[3],
        node_column=np.array(node_column, np.int64),
        node_bin=np.array(node_bin, np.uint8),
        node_mask=byte["mask"],
        node_match=byte["match"],
        node_step=byte["step"],
        first_node=_firsts([tree.nodes for tree in trees]),
        leaves=np.array([leaf for tree in trees for leaf in tree.leaves], np.float64),
        first_leaf=_firsts([tree.leaves for tree in trees])[:-1],
        first_tree=_firsts([model.trees for model in models]),
        bias=np.array([model.bias for model in models], np.float64),
        is_logit=np.array([model.is_logit for model in models], bool),
        weight=np.array([model.weight for model in models], np.float64),
    )


def _filled(trees: list[Tree]) -> list[Tree]:
    return trees + [Tree([], [0.0])] * (-len(trees) % _TOGETHER)


def _firsts(parts: Sequence[Sequence[object] | Array]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_leaves(trees, features, sums):  # type: ignore[no-untyped-def]
    """Σ leaves of each pair and model, shape (n_models, n_pairs); features of shape (n_features, n_pairs)."""
    n_features, n_pairs = features.shape
    bins = np.empty((len(trees.column_feature), _BLOCK), np.uint8)
    ranks = np.empty((n_features, _BLOCK), np.int16)
    places = np.empty((_TOGETHER, _BLOCK), np.uint8)
    for start in range(0, n_pairs, _BLOCK):
        width = min(_BLOCK, n_pairs - start)
        for feature in range(n_features):
            _rank(
                features[feature, start : start + width],
                trees.edges[trees.first_edge[feature] : trees.first_edge[feature + 1]],
                ranks[feature],
            )
        for column in range(len(trees.column_feature)):
            feature, offset = trees.column_feature[column], trees.column_offset[column]
            out, own = bins[column], ranks[feature]
            missing, zero = trees.column_missing[column], trees.column_zero[column]
            for pair in range(width):
                rank = missing if own[pair] == _MISSING else zero if own[pair] == _ZERO else own[pair]
                out[pair] = min(max(rank - offset, 0), 255)
        for model in range(len(trees.first_tree) - 1):
            out = sums[model, start : start + width]
            out[:] = 0.0
            for tree in range(trees.first_tree[model], trees.first_tree[model + 1], _TOGETHER):
                for k in range(_TOGETHER):
                    place = places[k]
                    place[:] = 0
                    for node in range(trees.first_node[tree + k], trees.first_node[tree + k + 1]):
                        byte, edge = bins[trees.node_column[node]], trees.node_bin[node]
                        mask, match, step = trees.node_mask[node], trees.node_match[node], trees.node_step[node]
                        for pair in range(width):
                            moves = (byte[pair] > edge) & ((place[pair] & mask) == match)
                            place[pair] += step if moves else np.uint8(0)
                one = trees.leaves[trees.first_leaf[tree + 0] :]
                two = trees.leaves[trees.first_leaf[tree + 1] :]
                three = trees.leaves[trees.first_leaf[tree + 2] :]
                four = trees.leaves[trees.first_leaf[tree + 3] :]
                five = trees.leaves[trees.first_leaf[tree + 4] :]
                six = trees.leaves[trees.first_leaf[tree + 5] :]
                seven = trees.leaves[trees.first_leaf[tree + 6] :]
                eight = trees.leaves[trees.first_leaf[tree + 7] :]
                for pair in range(width):
                    first = (one[places[0, pair]] + two[places[1, pair]]) + (
                        three[places[2, pair]] + four[places[3, pair]]
                    )
                    last = (five[places[4, pair]] + six[places[5, pair]]) + (
                        seven[places[6, pair]] + eight[places[7, pair]]
                    )
                    out[pair] += first + last


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _rank(values, edges, ranks):  # type: ignore[no-untyped-def]
    """How many edges are not above each value: bisection of all values in step."""
    ranks[: len(values)] = 0
    step = (len(edges) + 1) // 2
    while step:
        for pair in range(len(values)):
            if edges[ranks[pair] + step - 1] <= values[pair]:
                ranks[pair] += step
        step //= 2
    for pair in range(len(values)):
        if values[pair] != values[pair]:
            ranks[pair] = _MISSING
        if values[pair] == 0:
            ranks[pair] = _ZERO
