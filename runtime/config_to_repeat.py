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
    return yaml.safe_dump(_written(config), sort_keys=False, allow_unicode=True)


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items() if _is_written(item)}
    if isinstance(value, list):
        return [_written(item) for item in value if _is_written(item)]
    return value


def _is_written(value: Any) -> bool:
    return not (isinstance(value, str) and value.startswith(_NOT_WRITTEN))
