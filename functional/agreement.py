"""How alike the class maps of networks are."""

from collections.abc import Sequence

import numpy as np


def agreement(maps: Sequence[np.ndarray], seeds: Sequence[Sequence[int]]) -> np.ndarray:
    """Computes the share of points with the same class, over pairs of networks of two groups.

    Pairs of one seed are left out, as such networks begin alike (Somepalli et al. 2022, arXiv
    2203.08124: reproducibility).

    Args:
        maps: Class maps [networks, planes, height, width] of each group, on the same planes; -1 is
            no class.
        seeds: Seeds of the networks of each group.

    Returns:
        Shares [groups, groups]; NaN where there is no pair.
    """
    num_points = maps[0][0].size
    sizes = [len(networks) for networks in maps]
    num_labels = max(int(networks.max()) for networks in maps) + 2  # with -1, no class
    # At each point, n networks of one group and m of another that see the same class are n * m
    # pairs that agree; plane by plane, as the counts of all planes would not fit into memory.
    agreeing = np.zeros((len(maps), len(maps)))
    for plane in range(maps[0].shape[1]):
        counts = np.stack([_label_counts(networks[:, plane], num_labels) for networks in maps])
        agreeing += counts @ counts.T
    pairs = num_points * np.outer(sizes, sizes).astype(float)
    # Pairs of one seed, a network with itself among them, are taken out again.
    group_of = np.repeat(np.arange(len(maps)), sizes)
    maps_of = [map_.reshape(len(map_), -1) for networks in maps for map_ in networks]
    seed_of = np.array([seed for group in seeds for seed in group])
    for seed in np.unique(seed_of):
        chosen = np.flatnonzero(seed_of == seed)
        among = group_of[chosen][:, None], group_of[chosen]
        np.add.at(pairs, among, -num_points)
        for plane in range(maps[0].shape[1]):
            seen = np.stack([maps_of[network][plane] for network in chosen])
            np.add.at(agreeing, among, -(seen[:, None] == seen).sum(2).astype(float))
    return np.divide(agreeing, pairs, out=np.full_like(agreeing, np.nan), where=pairs > 0)


def _label_counts(maps: np.ndarray, num_labels: int) -> np.ndarray:
    """Counts the networks that see each class, or none, at each point, as one vector.

    Args:
        maps: Class maps [networks, height, width].
        num_labels: Number of classes, and one more.
    """
    points = maps.reshape(len(maps), -1)
    places = np.arange(points.shape[1]) * num_labels + points + 1
    return np.bincount(places.ravel(), minlength=points.shape[1] * num_labels).astype(float)
