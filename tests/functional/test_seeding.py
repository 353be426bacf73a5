from regularizer_collection.functional.seeding import derive_seed


def test_same_stream_and_keys_give_the_same_seed_and_others_another():
    keys = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 0)]
    seeds = {derive_seed(stream, *key) for stream in ("shuffle", "dropout") for key in keys}
    assert len(seeds) == 12
    assert derive_seed("shuffle", 3, 4) == derive_seed("shuffle", 3, 4)


def test_seeds_fit_a_torch_generator():
    assert all(0 <= derive_seed("shuffle", key) < 2**63 for key in range(100))
