"""Keeps freed memory in the process."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """Tells glibc to reuse freed memory instead of handing it back to the kernel.

    A training step frees and allocates the same gradients and activations again; by default glibc
    returns them in between, and on a CPU the page faults take up to a third of the step. Does
    nothing where there is no glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**25)  # the largest that glibc accepts
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
