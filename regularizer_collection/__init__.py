"""All folders of the project under one import name."""

from pathlib import Path

# In a checkout the folders lie beside this one, in an installed package within it.
if not (Path(__file__).parent / "functional").is_dir():
    __path__.append(str(Path(__file__).parent.parent))
