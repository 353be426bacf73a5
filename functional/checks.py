"""Refusals of arguments out of range, in one form of words."""


def check_at_least(name: str, value: float, lowest: float) -> None:
    """Refuses a number below the lowest that makes sense.

    Raises:
        ValueError: If it is lower, or not a number.
    """
    if not value >= lowest:
        raise ValueError(f"{name} is {value}; give {lowest} or more")


def check_between(name: str, value: float, lowest: float, highest: float) -> None:
    """Refuses a number outside a closed range.

    Raises:
        ValueError: If it is outside, or not a number.
    """
    if not lowest <= value <= highest:
        raise ValueError(f"{name} is {value}; give a number from {lowest} to {highest}")
