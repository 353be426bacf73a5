"""The lock file, from which the Makefile installs."""

import re
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from regularizer_collection.experiments.run import PROJECT


def needed(name, extras=("",)):
    """Names of the installed packages that a package needs here, and those that these need."""
    found, todo = set(), [(name, extras)]
    while todo:
        package, wanted = todo.pop()
        for text in requires(package) or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in wanted):
                continue
            name = canonicalize_name(requirement.name)
            if name not in found:
                found.add(name)
                todo.append((name, ("", *requirement.extras)))
    return found


def test_the_lock_file_holds_every_package_that_the_project_needs():
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    locked = {canonicalize_name(re.split("==", line)[0]) for line in lines}
    # Those of the interpreter's own making, which pip puts into every environment.
    missing = needed("regularizer-collection", ("", "ray", "test")) - locked - {"setuptools", "pip"}
    assert not missing
