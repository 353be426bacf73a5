"""The parts of the readme that are written by a command."""


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
