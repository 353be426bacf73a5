"""Classes that a model predicts on a plane through an image of its input space."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from regularizer_collection.functional.adaptive_map import NO_CLASS, ClassMap, adaptive_map
from regularizer_collection.functional.batch_sizes import in_few_sizes
from regularizer_collection.functional.checks import check_at_least


def random_directions(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draws two orthonormal directions, uniform over all planes, by Gram-Schmidt in float64.

    A generator on the CPU gives the same directions whatever device they are used on.

    Args:
        shape: Shape of an image, of at least two elements.
        generator: Source of the standard normal numbers, advanced by the call.

    Returns:
        Directions [2, *shape], float32, on the device of the generator.

    Raises:
        ValueError: The shape has fewer than two elements.
    """
    if math.prod(shape) < 2:
        raise ValueError(f"shape is {tuple(shape)}; a plane needs at least two elements")
    normal = torch.randn(
        2, math.prod(shape), generator=generator, dtype=torch.float64, device=generator.device
    )
    first = normal[0] / normal[0].norm()
    second = normal[1] - (normal[1] @ first) * first
    return torch.stack([first, second / second.norm()]).view(2, *shape).float()


def plane_points(
    image: Tensor, directions: Tensor, zoom: float, resolution: int, index: Tensor | None = None
) -> Tensor:
    """Places points of the input space on a square grid in the plane through an image.

    Point (i, j) of the grid is image + a_j * directions[0] + b_i * directions[1], both coordinates
    evenly spaced from -1/zoom to +1/zoom: columns follow the first direction, rows the second. For
    an odd resolution the point in the middle is the image itself, exactly.

    Args:
        image: Floating-point image [channels, height, width], in the units of the model's input.
        directions: Two orthogonal directions [2, channels, height, width]; their lengths are the
            unit of the plane, 1 for one in input units.
        zoom: Reciprocal of the half-width of the plane in that unit.
        resolution: Points along each side of the grid.
        index: Flat indices i * resolution + j of the points to make, int64 [points]; None makes
            all of them at once, which for 250 x 250 points of CIFAR take 768 MB.

    Returns:
        Points [points, channels, height, width] on the device of the image, in channels_last
        memory format.

    Raises:
        ValueError: Zoom or resolution is out of its range, or image and directions do not fit.
    """
    _check_plane(image, directions, zoom, resolution)
    if index is None:
        index = torch.arange(resolution * resolution, device=image.device)
    index = index.to(image.device)
    # Whole numbers times one factor: symmetric, exactly 0 in the middle, equal on all devices.
    steps = torch.stack([index % resolution, index // resolution])
    coordinates = (2 * steps - (resolution - 1)).to(image.dtype) * (1 / zoom / (resolution - 1))
    # With the channels last from here on, the result needs no copy to be in channels_last.
    across, down = directions.to(image).movedim(1, -1).contiguous()
    a, b = coordinates.view(2, -1, *[1] * image.dim())
    points = (a * across).add_(b * down).add_(image.movedim(0, -1).contiguous())
    return points.movedim(-1, 1)


def classify_plane(
    model: Callable[[Tensor], Tensor],
    image: Tensor,
    directions: Tensor,
    zoom: float,
    resolution: int,
    mode: str = "adaptive",
    chunk_size: int = 500,
    **adaptive: Any,
) -> Tensor:
    """Maps the predicted classes on a plane.

    Takes the arguments of ``classify_plane_with_error``, which also tells how far to trust the map.

    Returns:
        Class map, int64 [resolution, resolution] on the CPU; -1 where logits are not finite.
    """
    return classify_plane_with_error(
        model, image, directions, zoom, resolution, mode, chunk_size, **adaptive
    ).labels


def classify_plane_with_error(
    model: Callable[[Tensor], Tensor],
    image: Tensor,
    directions: Tensor,
    zoom: float,
    resolution: int,
    mode: str = "adaptive",
    chunk_size: int = 500,
    **adaptive: Any,
) -> ClassMap:
    """Maps the predicted classes on a plane and bounds the error of the map.

    Only one chunk of points exists at any time, and the host waits for the device once for each
    set of points: once in mode "exact", once for each level of the quadtree in mode "adaptive".

    Args:
        model: Maps points [points, channels, height, width], in channels_last memory format and on
            the device of the image, to logits [points, classes]. Already in eval mode.
        image: Floating-point image [channels, height, width], in the units of the model's input.
        directions: Two orthogonal directions [2, channels, height, width], as for
            ``plane_points``.
        zoom: Reciprocal of the half-width of the plane.
        resolution: Points along each side of the map.
        mode: "exact" evaluates every point, "adaptive" the neighbourhood of the boundaries and a
            random sample of the rest.
        chunk_size: Points that the model gets at a time.
        **adaptive: ``coarse_step``, ``num_checked``, ``max_disagreement`` and ``seed`` of
            ``adaptive_map``; without effect in mode "exact".

    Returns:
        The map, laid out as by ``plane_points``, and its bound. Label -1 marks points whose logits
        are not all finite.

    Raises:
        ValueError: An argument is out of its range, or the shapes do not fit.
    """
    _check_plane(image, directions, zoom, resolution)
    check_at_least("chunk_size", chunk_size, 1)
    if mode not in ("exact", "adaptive"):
        raise ValueError(f"mode is {mode!r}; expected 'exact' or 'adaptive'")

    directions = directions.to(image)

    @torch.no_grad()
    def evaluate(index: Tensor) -> Tensor:
        index = index.to(image.device)
        labels = torch.empty_like(index)
        for start in range(0, len(index), chunk_size):
            chunk = slice(start, start + chunk_size)
            logits = model(plane_points(image, directions, zoom, resolution, index[chunk]))
            labels[chunk] = predicted_classes(logits)
        return labels.cpu()

    if mode == "adaptive":
        model = in_few_sizes(model, max(1, chunk_size // 10))
        return adaptive_map(evaluate, resolution, **adaptive)
    return ClassMap(evaluate(torch.arange(resolution * resolution)).view(resolution, resolution))


def predicted_classes(logits: Tensor) -> Tensor:
    """Returns the class of each row of logits [samples, classes]; -1 where they are not finite."""
    return logits.argmax(dim=1).where(logits.isfinite().all(dim=1), NO_CLASS)


def _check_plane(image: Tensor, directions: Tensor, zoom: float, resolution: int) -> None:
    if not image.is_floating_point():
        raise ValueError(f"image is {image.dtype}; expected a floating-point type: normalise it")
    if directions.shape != (2, *image.shape):
        raise ValueError(
            f"directions have shape {tuple(directions.shape)}; expected {(2, *image.shape)}, "
            "two directions of the shape of the image"
        )
    if not 0 < zoom < math.inf:
        raise ValueError(f"zoom is {zoom}; expected a positive finite number, such as 0.01")
    check_at_least("resolution", resolution, 2)
