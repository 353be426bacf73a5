"""What every run measures of its network, and in what two such measurements differ."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Trainer

from regularizer_collection.callbacks import Calibration, Evaluation, Robustness

MEASUREMENTS = {"evaluation": Evaluation, "robustness": Robustness, "calibration": Calibration}
"""What every run measures, by the keys of its arguments."""
# How much is measured at a time, and what is measured while it trains.
_NOT_OF_THE_TRAINED = ("chunk_size", "every_n_epochs")


def measurement_differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Names what differs in how two trained networks are measured, with both values.

    What an older version did not know counts with its default.

    Args:
        ours: The evaluation of an identity.
        theirs: The evaluation of another.
    """
    measured_by = MEASUREMENTS | {"trainer": Trainer}
    differences = []
    for key in sorted(set(ours) | set(theirs)):
        full_key = key if "." in key else f"evaluation.{key}"
        section, _, argument = full_key.partition(".")
        parameter = inspect.signature(measured_by[section]).parameters.get(argument)
        default = parameter and parameter.default
        here, there = ours.get(key, default), theirs.get(key, default)
        if argument not in _NOT_OF_THE_TRAINED and json.dumps(here) != json.dumps(there):
            differences.append(f"{full_key} is {here} here and {there} there")
    return differences
