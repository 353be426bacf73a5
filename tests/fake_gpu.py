"""A second device on machines that have none: what mixes its tensors with the CPU's fails.

Its tensors lie in the CPU's memory, but say that they are on "cuda:0", and refuse what a GPU's
refuse: an operation with tensors or a generator of the CPU, and numpy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_flatten, tree_map

GPU = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_NUMPY = (Tensor.numpy, Tensor.__array__)
_TO_THE_HOST = (Tensor.cpu, Tensor.item, Tensor.tolist, Tensor.__format__, Tensor.__reduce_ex__)
_NAMING = (torch._C._nn._parse_to, torch.get_device_module, torch.device)
_MOVING = (Tensor.copy_, Tensor.to)
_CPUGenerator = torch.Generator


class OnGPU(Tensor):
    """A tensor of the second device."""

    __torch_function__ = torch._C._disabled_torch_function_impl


class GPUGenerator(_CPUGenerator):
    """Random numbers of the second device."""

    @property
    def device(self):
        return GPU


class FakeGPU(TorchFunctionMode):
    """Keeps track of what is where."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
        here = any(map(_is_here, tensors))
        if func in _NAMING:
            return func(*args, **kwargs)
        if func == Tensor.device.__get__:
            return GPU if here else func(*args)
        if func == Tensor.is_cuda.__get__:
            return here
        if func is torch._has_compatible_shallow_copy_type:  # or weights would only change places
            return all(_is_here(tensor) == here for tensor in tensors)
        if func in _NUMPY and here:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        if func in _TO_THE_HOST:
            return func(*tree_map(_as_plain, args), **tree_map(_as_plain, kwargs))
        if func is Tensor.__deepcopy__ and here:
            return _as_here(func(_as_plain(args[0]), *args[1:]))
        asked = [leaf for leaf in (*args, *kwargs.values()) if _is_device(leaf)]
        if func is Tensor.to and (others := [t for t in args[1:] if isinstance(t, Tensor)]):
            asked = [GPU if _is_here(others[0]) else _CPU]
        # The CPU's indices serve a GPU's tensors.
        checked = tensors[:1] if func is Tensor.__getitem__ and _is_here(args[0]) else tensors
        strangers = [t for t in checked if not _is_here(t) and t.dim() and not t.is_meta]
        if here and strangers and func not in _MOVING:
            raise RuntimeError(f"{resolve_name(func)}: expected all tensors to be on one device")
        args, kwargs = tree_map(_without_device, args), tree_map(_without_device, kwargs)
        is_here = torch.device(asked[-1]).type == "cuda" if asked else here
        generator = kwargs.get("generator")
        if generator is not None and isinstance(generator, GPUGenerator) != is_here:
            raise RuntimeError(f"{resolve_name(func)}: expected a generator of the same device")
        result = func(*args, **kwargs)
        if func is Tensor.__setitem__ or func is Tensor.copy_:
            return result
        return tree_map(_as_here if is_here else _as_plain, result) if asked or here else result


def _is_here(tensor):
    return isinstance(tensor, OnGPU)


def _is_device(value):
    return isinstance(value, torch.device) or (
        isinstance(value, str) and value.partition(":")[0] in ("cpu", "cuda", "meta")
    )


def _without_device(value):
    return _CPU if _is_device(value) and torch.device(value).type == "cuda" else value


def _as_plain(value):
    return value.as_subclass(Tensor) if _is_here(value) else value


def _as_here(value):
    is_plain = isinstance(value, Tensor) and not _is_here(value)
    return value.as_subclass(OnGPU) if is_plain else value


def _make_generator(device="cpu"):
    return GPUGenerator() if torch.device(device).type == "cuda" else _CPUGenerator()


class _Accelerator(CPUAccelerator):
    def setup_device(self, device):
        pass


@contextmanager
def fake_gpu(monkeypatch) -> Iterator[None]:
    """Makes every trainer train on the second device."""
    monkeypatch.setattr(torch, "Generator", _make_generator)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device=None: torch.get_rng_state())
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state, device=None: torch.set_rng_state(state)
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "fake GPU")
    init = Trainer.__init__

    @wraps(init)  # whose arguments a command line has
    def on_gpu(trainer, **settings):
        strategy = SingleDeviceStrategy(GPU, _Accelerator())
        init(trainer, **settings | {"strategy": strategy, "accelerator": "auto"})

    monkeypatch.setattr(Trainer, "__init__", on_gpu)
    with FakeGPU():
        yield
