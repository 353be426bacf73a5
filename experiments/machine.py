"""What of this machine a process may use, in a container or a batch job too."""

import math
import os
from pathlib import Path

_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
_UNLIMITED = ("max", "-1")


def usable_cores() -> int:
    """Returns the number of cores that affinity and the quotas of control groups allow."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    quotas = [tuple(setting.split()) for setting in _settings("cpu", "cpu.max")]
    times, periods = (_settings("cpu", f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    quotas += zip(times, periods, strict=True)
    shares = [int(time) / int(period) for time, period in quotas if time not in _UNLIMITED]
    return min([cores, *(max(1, math.ceil(share)) for share in shares)])


def free_memory() -> int | None:
    """Returns the bytes that programs can still take, or None where the system does not tell.

    A control group's limit counts as a whole, whatever is taken of it already.
    """
    lines = _MEMORY.read_text().splitlines() if _MEMORY.exists() else []
    free = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    limits = _settings("memory", "memory.max") + _settings("memory", "memory.limit_in_bytes")
    return min([*free, *(int(limit) for limit in limits if limit not in _UNLIMITED)], default=None)


def _settings(controller: str, name: str) -> list[str]:
    """Returns what a file says in the control groups of this process, the inner ones first.

    Version 2 has one tree of groups, version 1 one for each controller (man 7 cgroups). A container
    may see its own group at the top.
    """
    found = []
    lines = _MEMBERSHIP.read_text().splitlines() if _MEMBERSHIP.exists() else []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = _CGROUPS / controllers
        inner = top / group.lstrip("/")
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(top) and (folder / name).is_file():
                found.append((folder / name).read_text().strip())
    return found
