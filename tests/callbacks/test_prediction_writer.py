from types import SimpleNamespace

import torch
from torch.utils.data import DataLoader

from regularizer_collection.callbacks import PredictionWriter


def test_images_of_a_loader_of_ones_own_have_their_positions_on_several_processes():
    positions = []
    for rank in (0, 1):
        writer = PredictionWriter()
        loader = DataLoader(torch.zeros(5, 1))
        trainer = SimpleNamespace(predict_dataloaders=loader, global_rank=rank, world_size=2)
        writer.on_predict_start(trainer, None)
        for batch_idx, size in enumerate((2, 1) if rank == 0 else (2,)):
            writer.on_predict_batch_end(trainer, None, torch.zeros(size, 3), None, batch_idx)
        positions.append(torch.cat([index for index, _ in writer._share]).tolist())
    assert positions == [[0, 2, 4], [1, 3]]
