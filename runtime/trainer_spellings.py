"""One spelling for each value that a Trainer's arguments can say in several."""

from collections.abc import Mapping
from typing import Any

_PRECISIONS = {
    "None": "32-true",
    "16": "16-mixed",
    "32": "32-true",
    "64": "64-true",
    "bf16": "bf16-mixed",
}
_LIMITS = ("limit_train_batches", "limit_val_batches", "val_check_interval")


def is_part(limit: int | float | None) -> bool:
    """Tells whether a limit leaves batches out; 1 is one batch, and 1.0 all."""
    return limit is not None and not (isinstance(limit, float) and limit == 1.0)


def spelled_alike(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments of a Trainer in which what trains alike is equal.

    Args:
        trainer: Arguments, all or some.
    """
    spelled = dict(trainer)
    spelled |= {key: None for key in _LIMITS if key in trainer and not is_part(trainer[key])}
    if "precision" in trainer:
        precision = str(trainer["precision"])
        spelled["precision"] = _PRECISIONS.get(precision, precision)
    if "overfit_batches" in trainer:
        share = trainer["overfit_batches"] or 0.0
        spelled["overfit_batches"] = share if is_part(share) else "all"
    if "gradient_clip_val" in trainer:
        clip, algorithm = trainer["gradient_clip_val"], trainer.get("gradient_clip_algorithm")
        is_clipped = clip is not None and clip > 0  # Lightning takes 0 and less for none
        is_by_norm = not is_clipped or algorithm in (None, "norm")
        spelled["gradient_clip_val"] = float(clip) if is_clipped else None
        spelled["gradient_clip_algorithm"] = None if is_by_norm else str(algorithm)
    return spelled
