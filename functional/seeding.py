"""Independent random streams from one seed."""

import numpy as np


def derive_seed(*keys: int) -> int:
    """Mixes non-negative integers, such as seed, epoch and batch, into one 63-bit seed.

    A stream then depends on where it is used and on nothing that was drawn before, so a resumed run
    draws what an uninterrupted one draws.
    """
    # Their number is mixed in too: a seed sequence takes missing integers for zeros.
    return int(
        np.random.SeedSequence((len(keys), *keys)).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )
