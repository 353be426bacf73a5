"""One class map at each zoom level: ours beside the naive way, on a trained model.

Run ``python -m benchmarks.planes runs/no_reg/seed_0/checkpoints/last.ckpt --data_dir data``.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
import torchvision
from torch import Tensor, nn

from callbacks import Evaluation
from datamodules import CIFAR100DataModule
from experiments.memory import keep_freed_memory
from functional import classify_plane_with_error
from functional.adaptive_map import ClassMap
from lightning_modules import ResNet18

ZOOM_LEVELS = (0.025, 0.01, 0.001)
RESOLUTION = 250


def naive_map(network: nn.Module, image: Tensor, directions: Tensor, zoom: float) -> Tensor:
    """A meshgrid of the whole plane, NCHW, in ten chunks, softmax, then max."""
    a = torch.linspace(-1 / zoom, 1 / zoom, RESOLUTION)
    down, across = torch.meshgrid(a, a, indexing="ij")
    points = (
        image
        + across.reshape(-1, 1, 1, 1) * directions[0]
        + down.reshape(-1, 1, 1, 1) * directions[1]
    )
    with torch.no_grad():
        labels = [network(chunk).softmax(1).max(1).indices for chunk in points.chunk(10)]
    return torch.cat(labels).view(RESOLUTION, RESOLUTION)


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def load(checkpoint: str) -> tuple[nn.Module, nn.Module]:
    """Returns torchvision's network and ours, folded, with the same trained weights."""
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    weights = {
        name.removeprefix("backbone."): value
        for name, value in state.items()
        if name.startswith("backbone.")
    }
    ours, stock = ResNet18(), torchvision.models.resnet18(num_classes=100)
    ours.load_state_dict(weights)
    stock.load_state_dict(
        {
            name: value.clone(memory_format=torch.contiguous_format)
            for name, value in weights.items()
        }
    )
    return stock.eval(), ours.folded()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--planes", type=int, default=1)
    options = parser.parse_args()
    keep_freed_memory()
    stock, ours = load(options.checkpoint)
    data = CIFAR100DataModule(options.data_dir, download=False, verify=False)
    data.setup("test")
    images = data.normalize(data.images_and_labels("test")[0])
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("| zoom | way | seconds | ratio | points evaluated | points that differ |")
    print("| --- | --- | --- | --- | --- | --- |")
    for plane in Evaluation(num_planes=options.planes).planes(len(images), (3, 32, 32)):
        image = images[plane.image_index]
        for zoom in ZOOM_LEVELS:
            peer_seconds, truth = timed(partial(naive_map, stock, image, plane.directions, zoom))
            print(f"| {zoom} | naive | {peer_seconds:.1f} | 1 | 100 % | |", flush=True)
            for name, settings in (
                ("exact", {"mode": "exact"}),
                ("adaptive, every 4th", {"coarse_step": 4}),
                ("adaptive, every 8th", {"coarse_step": 8}),
            ):
                work = partial(classify_plane_with_error, ours, image, plane.directions, zoom)
                seconds, class_map = timed(partial(work, RESOLUTION, **settings))
                assert isinstance(class_map, ClassMap)
                differ = int((class_map.labels != truth).sum())
                print(
                    f"| {zoom} | {name} | {seconds:.2f} | {peer_seconds / seconds:.1f} "
                    f"| {100 * class_map.evaluated_share:.1f} % | {differ} of {RESOLUTION**2} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
