"""Signs that attacks by gradients fail for another reason than robustness.

Athalye et al. 2018 (arXiv 1802.00420, section 3) and Carlini et al. 2019 (arXiv 1902.06705).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

_CHANCE = 0.01
"""Accuracies may differ by so much, or by two images, without a meaning."""


def masking_signs(
    fgsm: Mapping[float, float],
    pgd: Mapping[float, float],
    by_steps: Sequence[float],
    longer: float,
    shorter: float,
    blind: float,
    unlimited: float,
    noise: Mapping[float, float],
    zero_gradients: float,
    num_images: int,
) -> list[str]:
    """Lists what speaks against believing a network's accuracies under attack.

    Args:
        fgsm: Accuracy under FGSM by eps, in pixels from 0 to 1.
        pgd: Accuracy under PGD by eps.
        by_steps: Accuracy after 0, 1, 2, ... steps of a PGD whose reach grows with each.
        longer: Accuracy under five times as many steps of PGD, on some images.
        shorter: Accuracy under PGD as usual, on the same images.
        blind: Accuracy under an attack without gradients, on the same images.
        unlimited: Accuracy under PGD at eps 64/255, where no network can be right, on them too.
        noise: Accuracy under random signs of size eps, by eps.
        zero_gradients: Share of right images whose gradient is zero everywhere.
        num_images: Number of images that the fewest of these are measured on.

    Returns:
        A sentence for each sign; none if there is none.
    """
    signs = []
    chance = max(_CHANCE, 2 / num_images)
    for eps in sorted(pgd):
        name = f"{255 * eps:g}/255"
        if eps in fgsm and fgsm[eps] < pgd[eps] - chance:
            signs.append(
                f"one step is stronger than many at eps {name}: {_per_cent(fgsm[eps])} against "
                f"{_per_cent(pgd[eps])}"
            )
        if eps in noise and noise[eps] < pgd[eps] - chance:
            signs.append(
                f"random signs are stronger than PGD at eps {name}: {_per_cent(noise[eps])} "
                f"against {_per_cent(pgd[eps])}"
            )
    if _rises([pgd[eps] for eps in sorted(pgd)], chance):
        signs.append("accuracy under PGD rises with eps")
    if _rises(by_steps, chance):
        signs.append("accuracy under PGD rises with the number of steps")
    if longer < shorter - chance:
        signs.append(
            f"five times the steps lower accuracy from {_per_cent(shorter)} to "
            f"{_per_cent(longer)}: PGD has not converged"
        )
    if blind < shorter - chance:
        signs.append(
            f"an attack without gradients is stronger than PGD: {_per_cent(blind)} against "
            f"{_per_cent(shorter)}"
        )
    if unlimited * num_images > 1:  # more than one image
        signs.append(f"accuracy at eps 64/255 is {_per_cent(unlimited)}, not 0")
    if zero_gradients > chance:
        signs.append(f"{_per_cent(zero_gradients)} of the gradients are zero")
    return signs


def _rises(accuracies: Sequence[float], chance: float) -> bool:
    return any(later > earlier + chance for earlier, later in pairwise(accuracies))


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f} %"
