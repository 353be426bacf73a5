"""The parts of the readme that are written by a command."""

from pathlib import Path

from regularizer_collection.runtime.atomic_write import atomic_write


def rewrite_part(path: Path, name: str, part: str) -> None:
    """Replaces a part of a file, as :func:`replace_part` does; its line endings stay.

    Raises:
        OSError: If the file cannot be read or written; what was there stays.
        ValueError: If the markers are missing.
    """
    with path.open(newline="") as file:
        text = file.read()
    ending = "\r\n" if "\r\n" in text else "\n"
    changed = replace_part(text.replace("\r\n", "\n"), name, part)
    with atomic_write(path.resolve()) as file:  # a link stays one
        file.write(changed.replace("\n", ending))


def replace_part(text: str, name: str, part: str) -> str:
    """Replaces what stands between ``<!-- name: begin -->`` and ``<!-- name: end -->``.

    Raises:
        ValueError: If the markers are missing.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the readme has no {begin} ... {end}; add the two lines where tables go")
    return f"{before}{begin}\n{part}\n{end}{after}"
