"""What a container or a batch job may use (man 7 cgroups), on made-up file systems."""

import os

import pytest

from regularizer_collection.experiments import machine
from regularizer_collection.experiments.machine import free_memory, usable_cores

GB = 2**30


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Makes a machine of 64 cores and 512 GB, in whose control groups stands what is given."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text(f"MemAvailable: {512 * 2**20} kB\n")

    def make(membership, **files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

    return make


def test_a_machine_without_limits_is_all_ours(cgroups):
    cgroups("0::/\n", **{"cpu.max": "max 100000", "memory.max": "max"})
    assert usable_cores() == 64
    assert free_memory() == 512 * GB


def test_a_container_sees_its_own_limits_at_the_top(cgroups):
    cgroups("0::/\n", **{"cpu.max": "250000 100000", "memory.max": str(4 * GB)})
    assert usable_cores() == 3
    assert free_memory() == 4 * GB


def test_the_strictest_group_around_a_batch_job_counts(cgroups):
    files = {"slurm/job_7/cpu.max": "max 100000", "slurm/cpu.max": "1600000 100000"}
    files |= {"slurm/job_7/memory.max": str(8 * GB), "slurm/memory.max": str(64 * GB)}
    cgroups("0::/slurm/job_7/step_0\n", **files, **{"other/memory.max": "1"})
    assert usable_cores() == 16
    assert free_memory() == 8 * GB


def test_groups_of_version_1_have_a_tree_for_each_controller(cgroups):
    membership = "4:memory:/docker/a1\n3:cpu,cpuacct:/docker/a1\n2:cpuset:/\n"
    files = {"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}
    cgroups(membership, **files, **{"memory/memory.limit_in_bytes": str(2 * GB)})
    assert usable_cores() == 1
    assert free_memory() == 2 * GB


def test_without_a_quota_version_1_says_minus_one_and_a_number_beyond_all_memory(cgroups):
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    cgroups("3:cpu:/\n4:memory:/\n", **files, **{"memory/memory.limit_in_bytes": str(2**63 - 4096)})
    assert usable_cores() == 64
    assert free_memory() == 512 * GB


def test_a_system_that_does_not_tell_has_all_its_cores_and_no_known_memory(monkeypatch, tmp_path):
    for name in ("_MEMBERSHIP", "_MEMORY"):
        monkeypatch.setattr(machine, name, tmp_path / "nothing")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores() == 8
    assert free_memory() is None
