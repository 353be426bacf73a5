"""Where a run leaves its files."""

from itertools import count
from pathlib import Path


def run_folder(
    root: Path, variant: str, seed: int, checkpoint: str | None = None, fits: bool = True
) -> Path:
    """Chooses the folder of a run: ``<root>/<variant>/seed_<n>``.

    A fit that starts anew never touches a folder that holds a checkpoint: it gets
    ``seed_<n>_run_2`` and so on. What continues or tests a checkpoint stays in its folder.

    Args:
        root: Folder of all runs.
        variant: Name of the variant.
        seed: Seed of the run.
        checkpoint: Path of the checkpoint to start from, "last", or None.
        fits: Whether the run trains.

    Returns:
        The folder, which may not exist yet.
    """
    if checkpoint not in (None, "last", "best", "hpc"):
        parent = Path(str(checkpoint)).absolute().parent
        if parent.name == "checkpoints":
            return parent.parent
    taken = None
    for number in count(1):
        folder = root / variant / (f"seed_{seed}" if number == 1 else f"seed_{seed}_run_{number}")
        if not any((folder / "checkpoints").glob("*.ckpt")):
            return folder if taken is None or (fits and checkpoint is None) else taken
        taken = folder
    raise AssertionError("unreachable")
