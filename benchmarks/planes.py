"""One class map at each zoom level: ours beside the naive way, on a trained model.

Run ``python -m benchmarks.planes runs/no_reg/seed_0/checkpoints/last.ckpt --data_dir data``.
"""

import argparse
from functools import partial
from typing import Any, cast

import torch
import torchvision
from torch import Tensor

from benchmarks.race import Work, race
from callbacks import Evaluation
from datamodules import CIFAR100DataModule
from functional import ClassMap, classify_plane_with_error
from lightning_modules import ResNet18

ZOOM_LEVELS = (0.025, 0.01, 0.001)
RESOLUTION = 250
WAYS: dict[str, dict[str, Any]] = {
    "exact": {"mode": "exact"},
    "adaptive, every 4th point": {"coarse_step": 4},
    "adaptive, every 8th point": {"coarse_step": 8},
}


def naive(checkpoint: str, data_dir: str, zoom: float) -> Work:
    """A meshgrid of the whole plane, NCHW, in ten chunks, softmax, then max."""
    network = torchvision.models.resnet18(num_classes=100)
    weights = {name: value.contiguous() for name, value in backbone_of(checkpoint).items()}
    network.load_state_dict(weights)
    network.eval()
    image, directions = plane_of(data_dir)
    coordinates = torch.linspace(-1 / zoom, 1 / zoom, RESOLUTION)

    @torch.no_grad()
    def work() -> Tensor:
        down, across = torch.meshgrid(coordinates, coordinates, indexing="ij")
        points = (
            image.contiguous()
            + across.reshape(-1, 1, 1, 1) * directions[0]
            + down.reshape(-1, 1, 1, 1) * directions[1]
        )
        labels = [network(chunk).softmax(1).max(1).indices for chunk in points.chunk(10)]
        return torch.cat(labels).view(RESOLUTION, RESOLUTION)

    return work


def ours(checkpoint: str, data_dir: str, zoom: float, settings: dict[str, Any]) -> Work:
    network = ResNet18()
    network.load_state_dict(backbone_of(checkpoint))
    image, directions = plane_of(data_dir)
    arguments = (network.folded(), image, directions, zoom, RESOLUTION)
    return lambda: classify_plane_with_error(*arguments, **settings)


def backbone_of(checkpoint: str) -> dict[str, Tensor]:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    prefix = "backbone."
    return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}


def plane_of(data_dir: str) -> tuple[Tensor, Tensor]:
    """Returns the first plane of every evaluation: its image and its directions."""
    data = CIFAR100DataModule(data_dir, download=False, verify=False)
    data.setup("test")
    images, _ = data.images_and_labels("test")
    (plane,) = Evaluation(num_planes=1).planes(len(images), (3, 32, 32))
    return data.normalize(images[plane.image_index][None])[0], plane.directions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("--data_dir", default="data")
    options = parser.parse_args()
    source = (options.checkpoint, options.data_dir)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("| zoom | way | seconds | ratio | points evaluated | points that differ |")
    print("| --- | --- | --- | --- | --- | --- |")
    for zoom in ZOOM_LEVELS:
        ways = {way: partial(ours, *source, zoom, settings) for way, settings in WAYS.items()}
        timed = race(ways, {"naive": partial(naive, *source, zoom)}, repeats=1, warm_ups=0)
        peer_seconds, truth = timed["naive"]
        print(f"| {zoom} | naive | {peer_seconds:.1f} | 1 | 100 % | |")
        for way in WAYS:
            seconds, class_map = timed[way].seconds, cast(ClassMap, timed[way].value)
            differ = int((class_map.labels != cast(Tensor, truth)).sum())
            share = 100 * class_map.evaluated_share
            ratio = peer_seconds / seconds
            print(
                f"| {zoom} | {way} | {seconds:.2f} | {ratio:.1f} | {share:.1f} % "
                f"| {differ} of {RESOLUTION**2} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
