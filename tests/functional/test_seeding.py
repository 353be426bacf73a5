from functional.seeding import derive_seed


def test_same_keys_give_the_same_seed_and_other_keys_another():
    seeds = {derive_seed(*keys) for keys in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0)]}
    assert len(seeds) == 6
    assert derive_seed(3, 4) == derive_seed(3, 4)


def test_seeds_fit_a_torch_generator():
    assert all(0 <= derive_seed(key) < 2**63 for key in range(100))
