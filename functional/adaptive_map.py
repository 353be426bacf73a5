"""Class maps of which only the neighbourhood of the boundaries is evaluated.

A quadtree starts from a coarse grid and goes on only where classes meet; the rest is filled in. It
can miss an island that lies between the points of the coarse grid, so a random sample of what was
filled in is evaluated too and bounds what may have been missed.

A point (row, column) of a square map has the flat index row * resolution + column.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regularizer_collection.functional.checks import check_at_least, check_between

NO_CLASS = -1
"""Label of a point that was evaluated and has no class."""

_UNKNOWN = -2


@dataclass(frozen=True, eq=False)
class ClassMap:
    """A class map and how far it can be trusted.

    Attributes:
        labels: Classes, int64 [resolution, resolution] on the CPU; -1 where there is none.
        evaluated_share: Share of the points that were evaluated; the others are filled in.
        disagreement_bound: Upper 95 % confidence bound on the share of all points whose label is
            not the one that evaluating them would give; 0 where every point was evaluated.
        redone: Whether the bound was too high, so that all remaining points were evaluated.
        num_checked: Points filled in of which a sample was evaluated.
        num_disagreeing: Those of them whose label was wrong.
    """

    labels: Tensor
    evaluated_share: float = 1.0
    disagreement_bound: float = 0.0
    redone: bool = False
    num_checked: int = 0
    num_disagreeing: int = 0

    @property
    def non_finite(self) -> int:
        """Number of points without a class, which is what non-finite logits leave."""
        return int((self.labels == NO_CLASS).sum())


def adaptive_map(
    evaluate: Callable[[Tensor], Tensor],
    resolution: int,
    coarse_step: int = 4,
    num_checked: int = 1000,
    max_disagreement: float = 0.005,
    seed: int = 0,
) -> ClassMap:
    """Draws a square class map from as few points as its boundaries allow.

    The points of a level are evaluated in one call. A cell is split at its middle while the points
    known of it differ; these are its corners and what splitting its neighbours put on its edges.

    Of the points filled in, a random sample is evaluated and corrected. From k disagreements among
    n of them, the upper 95 % bound of Clopper and Pearson (1934) on the share of disagreements,
    times the share of points filled in, bounds the share over the whole map. It is of the map
    before the correction and takes the sample as drawn with replacement, both of which make it a
    little too high. One map in twenty may exceed its bound, and the bound is on labels, not on
    measures: a wrong point may hide four edges. :func:`pooled_bound` bounds the mean of many maps.

    Args:
        evaluate: Gives the classes (at least -1) of the points with some flat indices; takes and
            returns int64 [points] on the CPU, possibly none.
        resolution: Points along each side of the map.
        coarse_step: Points from one line of the coarse grid to the next; the last row and column
            always belong to the grid.
        num_checked: Points to evaluate of those filled in, or all if there are fewer. With 1000,
            no disagreement bounds the share at 0.3 %, one at 0.47 %, two at 0.63 %.
        max_disagreement: Bound above which the points left are evaluated as well.
        seed: Seed of the random sample.

    Returns:
        The map and its bound.

    Raises:
        ValueError: An argument is out of its range.
    """
    check_at_least("resolution", resolution, 2)
    check_at_least("coarse_step", coarse_step, 1)
    check_at_least("num_checked", num_checked, 1)
    check_between("max_disagreement", max_disagreement, 0, 1)

    labels = torch.full((resolution * resolution,), _UNKNOWN)
    cells = _evaluate_where_classes_meet(evaluate, labels, resolution, coarse_step)
    filled = (labels == _UNKNOWN).nonzero().flatten()
    owner, index = _points(cells, resolution)
    labels[index] = labels[_top_left(cells, resolution)][owner]

    order = torch.randperm(len(filled), generator=torch.Generator().manual_seed(seed))
    checked, left = filled[order].tensor_split([num_checked])
    truth = evaluate(checked)
    num_disagreeing = int((truth != labels[checked]).sum())
    labels[checked] = truth
    bound = 0.0
    if len(left):
        bound = _upper_bound(num_disagreeing, num_checked) * len(filled) / len(labels)
    redone = bound > max_disagreement
    if redone:
        labels[left] = evaluate(left)
        bound, left = 0.0, left[:0]
    share = (len(labels) - len(left)) / len(labels)
    return ClassMap(
        labels.view(resolution, resolution), share, bound, redone, len(checked), num_disagreeing
    )


def pooled_bound(
    num_disagreeing: Sequence[int], num_checked: Sequence[int], evaluated_shares: Sequence[float]
) -> float:
    """Bounds the mean share of wrong labels over many maps, from all their samples together.

    Args:
        num_disagreeing: Wrong labels in the sample of each map.
        num_checked: Size of the sample of each map.
        evaluated_shares: Share of the points of each map that were evaluated.

    Returns:
        Upper 95 % confidence bound of Clopper and Pearson on the share of disagreements in the
        pooled sample, times the mean share of points that were filled in. Times four and the points
        of a map it bounds the mean of the boundary length that was missed, in pixel edges.
    """
    left = 1 - sum(evaluated_shares) / len(evaluated_shares)
    if not sum(num_checked) or left <= 0:
        return 0.0
    return _upper_bound(int(sum(num_disagreeing)), int(sum(num_checked))) * left


def _evaluate_where_classes_meet(
    evaluate: Callable[[Tensor], Tensor], labels: Tensor, resolution: int, coarse_step: int
) -> Tensor:
    """Fills the flat map in place along the boundaries; returns the cells [cells, 4] left open.

    A cell is (top, bottom, left, right), its outermost rows and columns, shared with its
    neighbours. All that is known of an open cell is of one class.
    """
    lines = torch.arange(0, resolution - 1, coarse_step)
    lines = torch.cat([lines, torch.tensor([resolution - 1])])
    spans = torch.stack([lines[:-1], lines[1:]], dim=1)
    num_spans = len(spans)
    new = torch.cat([spans.repeat_interleave(num_spans, 0), spans.repeat(num_spans, 1)], dim=1)
    cells = new[:0]
    while len(new):
        corners = _corners(new, resolution)
        corners = corners[labels[corners] == _UNKNOWN]
        labels[corners] = evaluate(corners)
        cells = torch.cat([cells, new])
        cells = cells[(cells[:, 1::2] - cells[:, ::2] > 1).any(dim=1)]
        is_mixed = _is_mixed(cells, labels, resolution)
        new, cells = _split(cells[is_mixed]), cells[~is_mixed]
    return cells


def _split(cells: Tensor) -> Tensor:
    """Cuts cells at their middle, in two where they are one pixel spacing high or wide."""
    top, bottom, left, right = cells.unbind(1)
    row, column = (top + bottom) // 2, (left + right) // 2
    quarters = torch.cat(
        [
            torch.stack([*rows, *columns], dim=1)
            for rows in ((top, row), (row, bottom))
            for columns in ((left, column), (column, right))
        ]
    )
    return quarters[(quarters[:, 1::2] > quarters[:, ::2]).all(dim=1)]


def _is_mixed(cells: Tensor, labels: Tensor, resolution: int) -> Tensor:
    """Tells for each cell whether what is known of it, edges included, differs in class."""
    owner, index = _points(cells, resolution)
    known = labels[index]
    differs = (known != _UNKNOWN) & (known != labels[_top_left(cells, resolution)][owner])
    return torch.zeros(len(cells), dtype=torch.bool).index_fill_(0, owner[differs], True)


def _points(cells: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Lists all points of all cells: the position of the cell in the list, and the flat index."""
    top, bottom, left, right = cells.unbind(1)
    width = right - left + 1
    count = (bottom - top + 1) * width
    owner = torch.arange(len(cells)).repeat_interleave(count)
    offset = torch.arange(len(owner)) - (count.cumsum(0) - count)[owner]
    row = top[owner] + offset // width[owner]
    column = left[owner] + offset % width[owner]
    return owner, row * resolution + column


def _corners(cells: Tensor, resolution: int) -> Tensor:
    """Lists the flat indices of all corners, each once and in ascending order."""
    rows = cells[:, [0, 0, 1, 1]]
    columns = cells[:, [2, 3, 2, 3]]
    return (rows * resolution + columns).unique()


def _top_left(cells: Tensor, resolution: int) -> Tensor:
    return cells[:, 0] * resolution + cells[:, 2]


def _upper_bound(num_hits: int, num_trials: int) -> float:
    """Bounds a share from above with 95 % confidence (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv  # Slow to import, and only needed here.

    if num_hits == num_trials:
        return 1.0
    return float(betaincinv(num_hits + 1, num_trials - num_hits, 0.95))
