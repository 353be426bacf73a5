"""The checkpoint that a command loads, and no other."""

from typing import Any

from pytorch_lightning import Trainer


def take_checkpoints_as_given(trainer: Trainer) -> None:
    """Has a trainer load the checkpoint whose path it is given, and none where it is given none.

    Left to itself, Lightning looks for one: that of Slurm's signal, even to test what has been
    trained on since, or the newest that any callback wrote, be it of another run.

    Args:
        trainer: The trainer, changed in place.
    """

    def as_given(state_fn: Any, ckpt_path: Any, **_: Any) -> Any:
        return ckpt_path

    trainer._checkpoint_connector._parse_ckpt_path = as_given  # type: ignore[assignment]
