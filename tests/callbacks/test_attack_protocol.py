"""What is attacked, and from where."""

import torch

from regularizer_collection.callbacks import attack_protocol
from regularizer_collection.callbacks.attack_protocol import AttackProtocol, Images


def brightness(pixels):
    """Class 1 where the first pixel is bright."""
    first = pixels.flatten(1)[:, :1]
    return torch.cat([0.9 - first, first - 0.9], 1)


def test_an_image_survives_pgd_if_it_does_from_both_of_two_random_starts(monkeypatch):
    pixels = torch.full((3, 1, 4, 4), 0.5)
    images = Images(brightness, pixels, torch.zeros(3, dtype=torch.long), [7, 8, 9])
    seen = []

    def pgd(model, left, labels, eps, step_size, num_steps, start):
        seen.append((len(left), start))
        moved = left.clone()
        moved[0] = 1.0  # only the first of those that are left comes to another class
        return moved

    monkeypatch.setattr(attack_protocol, "pgd", pgd)
    protocol = AttackProtocol(eps=(0.1,), num_steps=20, distance_steps=1, seed=0)
    assert protocol._survive_pgd(images, 0.1, 20).tolist() == [False, False, True]
    (first_number, first), (second_number, second) = seen
    assert (first_number, second_number) == (3, 2)
    assert (first - pixels).abs().max() <= 0.1
    assert not torch.equal(first[1:], second)
    assert first.std() > 0.02


def test_one_step_is_tried_at_every_strength_of_many_steps():
    images = Images(brightness, torch.full((2, 1, 4, 4), 0.5), torch.zeros(2).long(), [0, 1])
    protocol = AttackProtocol(eps=(1 / 255, 0.01), num_steps=1, distance_steps=1, seed=0)
    names = [name for name, _ in protocol._attacks(images)]
    of_pgd = {name.partition("/")[2] for name in names if name.startswith("pgd/")}
    of_fgsm = [name.partition("/")[2] for name in names if name.startswith("fgsm/")]
    assert of_pgd == {"1_255", "2.55_255"} <= set(of_fgsm)
    assert len(of_fgsm) == len(set(of_fgsm)) == 9
