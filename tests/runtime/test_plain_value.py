import json
from enum import Enum
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regularizer_collection.runtime.plain_value import plain_value


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize("value", [None, True, 3, 0.1, "text", [1, [2]], {"a": {"b": [None]}}])
def test_plain_values_stay(value):
    assert plain_value(value) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        ({"b", "a"}, ["a", "b"]),
        (Colour.RED, "RED"),
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


def test_an_address_in_memory_is_no_part_of_a_value():
    assert "0x" not in plain_value(object())
    assert plain_value(object()) == plain_value(object())
