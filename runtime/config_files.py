"""The configs that come with the project."""

from difflib import get_close_matches
from pathlib import Path

from regularizer_collection.runtime.paths import full_path

FOLDER = Path(__file__).parent.parent / "configs"
DEFAULTS = FOLDER / "defaults.yaml"


def find_config(name: str) -> Path:
    """Returns the path of the file of that name here, else in ``configs/``, absolute.

    Raises:
        FileNotFoundError: If neither exists.
    """
    for path in (Path(full_path(name)), FOLDER / name):
        if path.is_file():
            return path
    files = (path for folder in (FOLDER, Path()) for path in folder.glob("*.yaml"))
    names = sorted({path.name for path in files if path.is_file()} - {DEFAULTS.name})
    nearest = get_close_matches(name, names, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(names)}"
    raise FileNotFoundError(f"no config {name} here or in {FOLDER}; {hint}")
