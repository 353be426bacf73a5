"""The parts of the readme that are written by a command."""

from pathlib import Path

from regularizer_collection.runtime.atomic_write import atomic_write


def rewrite_part(path: Path, name: str, part: str) -> None:
    """Replaces a part of a file, as :func:`replace_part` does, and nothing else in it.

    Raises:
        OSError: If the file cannot be read or written; what was there stays.
        ValueError: If the markers are missing.
    """
    with path.open(newline="") as file:
        text = file.read()
    changed = replace_part(text, name, part)
    with atomic_write(path.resolve()) as file:  # a link stays one
        file.write(changed)


def replace_part(text: str, name: str, part: str) -> str:
    """Replaces what stands between ``<!-- name: begin -->`` and ``<!-- name: end -->``.

    The part gets the line endings of the first of them.

    Raises:
        ValueError: If the markers are missing.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the readme has no {begin} ... {end}; add the two lines where tables go")
    ending = "\r\n" if rest.startswith("\r\n") else "\n"
    lines = f"\n{part}\n".replace("\n", ending)
    return f"{before}{begin}{lines}{end}{after}"
