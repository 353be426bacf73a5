"""Independent random streams from one seed."""

import numpy as np


def derive_seed(stream: str, *keys: int) -> int:
    """Mixes the name of a stream and non-negative integers into one 63-bit seed.

    What is drawn then depends on what it is drawn for, and where, and on nothing that was drawn
    before: a resumed run draws what an uninterrupted one draws.

    Args:
        stream: What the numbers are for, such as "dropout".
        *keys: Seed of the run and position in it, such as epoch and batch.

    Returns:
        Seed for a generator.
    """
    # The number of keys is mixed in too: a seed sequence takes missing integers for zeros.
    entropy = (int.from_bytes(stream.encode()), len(keys), *keys)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))
