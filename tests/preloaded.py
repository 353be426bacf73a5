"""Processes forked from one that has imported everything, which takes seconds."""

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.reduction import DupFd
from types import SimpleNamespace

import pytest

FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload(["regularizer_collection.__main__"])


class PreloadedPopen:
    """What a study needs of ``subprocess.Popen`` for ``python -m regularizer_collection ...``."""

    def __init__(self, command, stdout, env, **_):
        assert command[:3] == [sys.executable, "-m", "regularizer_collection"]
        args = (command[3:], DupFd(stdout.fileno()), dict(env), os.getcwd())
        self._process = FORK_SERVER.Process(target=_run, args=args)
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def terminate(self):
        self._process.terminate()

    def wait(self):
        self._process.join()
        return self._process.exitcode


@pytest.fixture(scope="module")
def preloaded():
    """Starts the runs of the studies of this process without importing everything again."""
    replaced = SimpleNamespace(**vars(subprocess) | {"Popen": PreloadedPopen})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regularizer_collection.experiments.run.subprocess", replaced)
        yield


def _run(args, log, env, folder):
    from regularizer_collection.__main__ import main

    output = log.detach()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(env)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.exit(main(args))
