import os
import platform
import resource
import subprocess
import sys

import pytest

TOUCH_16_MIB_AGAIN_AND_AGAIN = """
import resource, torch
from regularizer_collection.runtime.memory import keep_freed_memory
{setup}
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def touch(): return [torch.zeros(2**20) for _ in range(4)]
for _ in range(5): touch()
before = faults()
for _ in range(5): touch()
print(faults() - before)
"""


def page_faults(setup):
    code = TOUCH_16_MIB_AGAIN_AND_AGAIN.format(setup=setup)
    # glibc adapts its thresholds to what it sees; fixed at the start, they give the same each time.
    tunables = "glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=131072"
    out = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"GLIBC_TUNABLES": tunables},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(out.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    pages = 2**24 // resource.getpagesize()
    assert page_faults("") > pages
    assert page_faults("keep_freed_memory()") < pages / 10
