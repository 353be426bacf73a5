"""What a report reads of the robustness of one network."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from regularizer_collection.callbacks.attack_protocol import VERSION, AttackProtocol, eps_name
from regularizer_collection.functional.corruptions import KINDS
from regularizer_collection.functional.gradient_masking import masking_signs
from regularizer_collection.functional.packed_maps import encode_map

_MEDIAN_OF_NORMAL = 0.674  # of the absolute value of a standard normal variable


def robustness_record(
    values: Sequence[dict[str, Tensor]],
    indices: Sequence[int],
    protocol: AttackProtocol,
    num_pixels: int,
) -> dict[str, Any]:
    """Sums up what was measured, and keeps the value of every image.

    Args:
        values: What :meth:`AttackProtocol.measure` found for each chunk of images.
        indices: Positions of all these images in the test split.
        protocol: How it was measured.
        num_pixels: Values of an image, channels times height times width.

    Returns:
        Plain types: accuracies as shares of all images, median distances (of all images, of which
        wrong ones have 0, and of the right ones alone), the flatness of the
        boundary (1 if it is a hyperplane, Fawzi et al. 2016), and the signs of gradient masking.
    """
    everything = {
        name: torch.cat([value[name] for value in values]) for name in values[0] if name != "check"
    }
    flags = {name: v for name, v in everything.items() if v.dtype == torch.bool}
    distances = {name: v.double() for name, v in everything.items() if name not in flags}
    accuracy: dict[str, Any] = {}
    for name, is_right in flags.items():
        group, _, strength = name.partition("/")
        shares = [round(share, 6) for share in is_right.double().mean(0).reshape(-1).tolist()]
        if strength:
            accuracy.setdefault(group, {})[strength] = shares[0]
        else:
            accuracy[group] = shares if is_right.ndim > 1 else shares[0]
    corrupted = [share for kind in KINDS for share in accuracy[kind].values()]
    checked = [value for value in values if "check" in value]
    return {
        "seed": protocol.seed,
        "num_images": len(indices),
        "image_indices": list(indices),
        "settings": {
            "version": VERSION,
            "eps": [eps_name(eps) for eps in protocol.eps],
            "num_steps": protocol.num_steps,
            "distance_steps": protocol.distance_steps,
        },
        "accuracy": accuracy | {"corruptions": sum(corrupted) / len(corrupted)},
        "median_distance": _number(distances["distance"].median()),
        "median_distance_if_right": _median(distances["distance"][flags["clean"]]),
        "median_distance_if_right_normalised": _median(
            distances["distance_normalised"][flags["clean"]]
        ),
        "flatness": _flatness(flags["clean"], distances, num_pixels),
        "signs_of_gradient_masking": _signs(accuracy, checked, protocol),
        "values": {
            **{name: encode_map(is_right) for name, is_right in flags.items()},
            **{name: [_number(d) for d in lengths] for name, lengths in distances.items()},
        },
    }


def _flatness(is_right: Tensor, distances: dict[str, Tensor], num_pixels: int) -> float | None:
    """Compares the distance along random lines with that to the nearest other class.

    A hyperplane at distance r meets a random line at r / |cos| of the angle, whose cosine is about
    a standard normal variable divided by the root of the dimension.
    """
    ratios = distances["line_distance"] / distances["distance"]
    ratios = ratios[is_right & distances["distance"].isfinite()]
    return _median(ratios * _MEDIAN_OF_NORMAL / math.sqrt(num_pixels))


def _signs(
    accuracy: dict[str, Any], chunks: Sequence[dict[str, Tensor]], protocol: AttackProtocol
) -> list[str]:
    def by_eps(group: str) -> dict[float, float]:
        shares = accuracy.get(group, {})
        return {eps: shares[eps_name(eps)] for eps in protocol.eps if eps_name(eps) in shares}

    if not chunks:  # a Ctrl-C came before them
        return []
    checked = torch.cat([chunk["check"] for chunk in chunks]).double()
    usual, longer, blind, unlimited, zero_gradients = checked.mean(0).tolist()
    share_right = torch.cat([chunk["clean"] for chunk in chunks]).double().mean().item()
    return masking_signs(
        fgsm=by_eps("fgsm"),
        pgd=by_eps("pgd"),
        by_steps=accuracy["pgd_by_steps"],
        longer=longer,
        shorter=usual,
        blind=blind,
        unlimited=unlimited,
        noise=by_eps("random_signs"),
        zero_gradients=zero_gradients / share_right if share_right else 0.0,
        num_images=len(checked),
    )


def _median(values: Tensor) -> float | None:
    return _number(values.median()) if len(values) else None


def _number(value: Tensor) -> float | None:
    """Keeps four digits; None stands for a distance that was not found."""
    return float(f"{value.item():.4g}") if value.isfinite() else None
