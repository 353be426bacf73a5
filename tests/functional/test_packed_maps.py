import numpy as np
import pytest
import torch

from regularizer_collection.functional.packed_maps import decode_map, encode_map


@pytest.mark.parametrize("shape", [(17, 17), (3, 5, 4)])
def test_class_maps_survive_packing(shape):
    labels = torch.randint(-1, 300, shape, dtype=torch.int16)
    np.testing.assert_array_equal(decode_map(encode_map(labels)), labels.numpy())
