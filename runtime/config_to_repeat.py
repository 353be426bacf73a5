"""The config that makes a run again."""

from typing import Any

import yaml

_NOT_WRITTEN = "Unable to serialize instance"  # jsonargparse, in place of the value


def config_to_repeat(dumped: str) -> str:
    """Leaves out what a config must not give to a run that begins anew.

    That is the checkpoint from which this run went on, and what cannot be written: the defaults of
    classes that are objects, such as a ``torch.device``, which are taken again.

    Args:
        dumped: Config as jsonargparse writes it.
    """
    config = yaml.safe_load(dumped) | {"ckpt_path": None}
    return yaml.safe_dump(_written(config), sort_keys=False)


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _written(v) for k, v in value.items() if not str(v).startswith(_NOT_WRITTEN)}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return value
