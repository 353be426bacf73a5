from itertools import product

import numpy as np

from regularizer_collection.functional.agreement import agreement


def test_it_is_the_share_of_equal_points_over_pairs_of_networks_of_different_seeds():
    rng = np.random.default_rng(0)
    maps = [rng.integers(-1, 3, (networks, 2, 5, 4)) for networks in (3, 2, 1)]
    seeds = [[0, 1, 2], [1, 1], [0]]
    found = agreement(maps, seeds)
    for a, b in product(range(3), repeat=2):
        shares = [
            (maps[a][i] == maps[b][j]).mean()
            for i, j in product(range(len(maps[a])), range(len(maps[b])))
            if seeds[a][i] != seeds[b][j]
        ]
        np.testing.assert_allclose(found[a, b], np.mean(shares) if shares else np.nan)
    assert np.isnan(np.diag(found)).tolist() == [False, True, True]
