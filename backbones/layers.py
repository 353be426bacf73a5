"""Drop-in layers with torch's parameter names and a faster implementation."""

from typing import Self

import torch
from torch import Tensor, nn

from regularizer_collection.functional.batch_norm import batch_norm
from regularizer_collection.functional.convolution import conv2d
from regularizer_collection.functional.max_pooling import max_pool2d

MEASURED_FASTER = {"cpu"}
"""Device types on which these layers were measured faster than torch's; elsewhere torch's run."""
HAS_BFLOAT16_PRODUCTS = (
    torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
)
"""Whether torch has bfloat16 kernels for this processor, on others 5 to 50 times slower than
float32's."""


class LiveTapConv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` that skips the taps which only see padding.

    ``twice_differentiable`` chooses the faster way where gradients will be differentiated again; it
    changes no result.
    """

    twice_differentiable = False

    @classmethod
    def from_conv2d(cls, conv: nn.Conv2d) -> Self:
        """Takes over the weight of a plain convolution without bias, groups or dilation."""
        live = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            bias=False,
            device="meta",
        )
        live.weight = conv.weight
        return live

    def forward(self, input: Tensor) -> Tensor:
        """Convolves maps [batch, channels, height, width]."""
        device, dtype = input.device.type, input.dtype
        is_plain = self.groups == 1 and self.padding_mode == "zeros" and self.dilation == (1, 1)
        if device not in MEASURED_FASTER or not is_plain or isinstance(self.padding, str):
            return super().forward(input)
        if torch.is_autocast_enabled(device):  # which casts inside torch's own functions only
            dtype = torch.get_autocast_dtype(device)
            input = input.to(dtype)
        elif dtype != self.weight.dtype:
            return super().forward(input)  # which says what does not fit
        weight, bias = self.weight, self.bias
        if dtype == torch.bfloat16 and not HAS_BFLOAT16_PRODUCTS:
            # bfloat16 instructions sum their products in float32 too.
            input, weight = input.float(), weight.to(dtype).float()
            bias = bias if bias is None else bias.to(dtype)
        with torch.autocast(device, enabled=False):
            output = conv2d(
                input,
                weight,
                bias,
                self.stride,  # type: ignore[arg-type]
                self.padding,  # type: ignore[arg-type]
                self.twice_differentiable,
            )
        return output.to(dtype)


class TwiceDifferentiableBatchNorm2d(nn.BatchNorm2d):
    """``torch.nn.BatchNorm2d`` whose second derivative in training mode can be a closed form.

    ``twice_differentiable`` chooses it, where gradients will be differentiated again; it changes no
    result.
    """

    twice_differentiable = False

    def forward(self, input: Tensor) -> Tensor:
        """Normalises maps [batch, channels, height, width]."""
        is_plain = not (self.training and self.twice_differentiable)
        is_slower = input.device.type not in MEASURED_FASTER
        if is_plain or is_slower or not self.track_running_stats:
            return super().forward(input)
        if input.numel() == input.shape[1]:
            raise ValueError(
                f"batch normalisation needs more than 1 value per channel in training, got input "
                f"{tuple(input.shape)}; use a batch size of at least 2"
            )
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # the mean of all batches, as weight averaging sets it
            momentum = 1 / self.num_batches_tracked.item()
        return batch_norm(
            input,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            momentum,
            self.eps,
        )


class TwiceDifferentiableMaxPool2d(nn.MaxPool2d):
    """``torch.nn.MaxPool2d`` whose second derivative can touch only what is selected.

    ``twice_differentiable`` chooses it, where gradients will be differentiated again; it changes no
    result.
    """

    twice_differentiable = False

    def forward(self, input: Tensor) -> Tensor:
        """Pools maps [batch, channels, height, width]."""
        if not self.twice_differentiable or input.device.type not in MEASURED_FASTER:
            return super().forward(input)
        return max_pool2d(input, self.kernel_size, self.stride, self.padding)  # type: ignore[arg-type]
