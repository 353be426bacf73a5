import json
from enum import Enum, StrEnum
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jsonargparse.typing import PositiveInt
from torch import nn

from regularizer_collection.runtime.plain_value import plain_value


class Colour(Enum):
    RED = 1


class Speed(StrEnum):
    FAST = "fast"


@pytest.mark.parametrize("value", [None, True, 3, 0.1, "text", [1, [2]], {"a": {"b": [None]}}])
def test_plain_values_stay(value):
    assert plain_value(value) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        ({"b", "a"}, ["a", "b"]),
        (Colour.RED, "RED"),
        (Speed.FAST, "fast"),
        (Path("a/b"), "a/b"),
        (torch.device("cpu"), "cpu"),
        (torch.float16, "torch.float16"),
        (F.relu, "torch.nn.functional.relu"),
        (nn.LayerNorm, "torch.nn.modules.normalization.LayerNorm"),
        (nn.ReLU(), "ReLU()"),
        (
            partial(F.dropout, p=0.1),
            {
                "function": "torch.nn.functional.dropout",
                "arguments": [],
                "keywords": {"p": 0.1},
            },
        ),
    ],
)
def test_what_is_none_is_what_would_be_typed(value, plain):
    assert plain_value({"key": [value]}) == {"key": [plain]}
    assert json.loads(json.dumps(plain_value(value))) == plain


@pytest.mark.parametrize(
    ("value", "cls"), [(PositiveInt(3), int), (np.float64(0.5), float), (np.str_("a"), str)]
)
def test_numbers_and_texts_of_subclasses_become_plain_ones(value, cls):
    assert type(plain_value([value])[0]) is cls
    assert plain_value(value) == value


def test_an_address_in_memory_is_no_part_of_a_value():
    assert "0x" not in plain_value(object())
    assert plain_value(object()) == plain_value(object())

    class Windows:
        def __str__(self):
            return "<Own at 0x000001F5C3A1B2D0>"

    assert plain_value(Windows()) == "<Own>"
