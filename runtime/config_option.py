"""The option ``--config``."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, Namespace

from regularizer_collection.runtime.config_files import DEFAULTS, find_config

UNNAMED = "custom"
"""Variant of a run that neither a config nor the command line names."""


class ConfigOption(ActionConfigFile):
    """Reads configs in the forms of LightningCLI's documentation, and names the variant.

    A bare name is looked for in ``configs/`` too. ``optimizer`` and ``lr_scheduler`` may stand at
    the top of a file, and all of it below the name of the command. Unless something else names it,
    the variant is the first file's stem, to which each further file that changes the model adds its
    own: ``svb.yaml`` and ``with_mixup.yaml`` make ``svb_mixup``.

    A name holds with what the files that made it say of the model's class and its regularizers. A
    second class, or a change of what a file gives a name of its own, leaves it behind.
    """

    name: str | None = None
    _regularized_by: list[str] | None = None  # of the run of that name
    _is_named_in_file = False
    _has_class = False

    def __call__(  # type: ignore[override]
        self,
        parser: Any,
        namespace: Namespace,
        values: str,
        option_string: str | None = None,
    ) -> None:
        """Applies one config to what was read before it.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds anything but keys with values.
        """
        if isinstance(content := _mapping(values), dict):
            folder, stem = Path(), None
        else:
            path = find_config(values)
            content, values = _content(path), str(path)
            folder, stem = path.parent, path.stem
        plain = _plain_form(content, getattr(parser, "subcommand", None))
        before = regularized_by(namespace)
        self._regularized_by = self._regularized_by or regularized_by(_content(DEFAULTS))
        is_as_named = before == self._regularized_by
        with chdir(folder if plain != content else Path()):
            super().__call__(
                parser, namespace, json.dumps(plain) if plain != content else values, option_string
            )
        after = regularized_by(namespace)
        is_named = self._name(plain, stem, namespace, is_other_class=after[0] != before[0])
        if is_named and is_as_named:  # else the command line had a say, which check_name tells
            self._regularized_by = after

    def _name(
        self, plain: dict[str, Any], stem: str | None, namespace: Namespace, is_other_class: bool
    ) -> bool:
        """Names the variant after a config, and tells whether the name holds with what it says."""
        name = namespace.get("variant")
        if plain.get("variant"):
            self.name, self._is_named_in_file = name, True
        elif stem is None:
            return False
        elif name == UNNAMED:
            self.name = namespace["variant"] = stem
        elif name == self.name and "model" in plain:
            if self._is_named_in_file or (self._has_class and is_other_class):
                return False
            self.name = namespace["variant"] = f"{name}_{stem.removeprefix('with_')}"
        model = plain.get("model") or {}
        self._has_class |= isinstance(model, str) or "class_path" in model
        return True

    def check_name(self, config: Namespace) -> None:
        """Refuses a run named after configs that regularize in another way than it does.

        Args:
            config: What the command line came to.

        Raises:
            ValueError: If the command line changed the model's class or its regularizers, and
                nothing but the configs names the variant.
        """
        given = regularized_by(config)
        if config.get("variant") == self.name and given != self._regularized_by:
            raise ValueError(
                f"the command line asks for {' with '.join(given)}, which {self.name} is not; "
                "give --variant NAME"
            )


def _mapping(text: str) -> Any:
    """Returns what a text holds as YAML, None where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{path} holds {found}; a config holds keys with values")
    return content


def _plain_form(content: Any, command: str | None) -> Any:
    """Returns the keys of LightningCLI's other forms where this command has them."""
    if not isinstance(content, dict):
        return content
    if isinstance(content.get(command), dict):
        content = content[command]
    moved = {key: content[key] for key in ("optimizer", "lr_scheduler") if key in content}
    if not moved:
        return content
    kept = {key: value for key, value in content.items() if key not in moved}
    model = kept.get("model") or {}
    return kept | {"model": model | {"init_args": (model.get("init_args") or {}) | moved}}


def regularized_by(config: Namespace | dict[str, Any]) -> list[str]:
    """Returns the names of the model's class and of the regularizers in its list."""
    model = config.get("model") or {}
    added = (model.get("init_args") or {}).get("regularizers") or []
    paths = [item.get("class_path", "") for item in [model, *added]]
    return [path.rpartition(".")[2] for path in paths]
