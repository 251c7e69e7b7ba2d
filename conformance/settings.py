"""Options from svsm-conformance.toml, or from [tool.svsm-conformance] in pyproject.toml.

Either is looked for here and in the directories above. A command is a table, an option a key:

    [conform]
    device = ["c:target/libmine.so"]
    profile = "ci"
"""

import tomllib
from pathlib import Path

from cyclopts.config import Toml

OWN, SHARED = "svsm-conformance.toml", "pyproject.toml"
FILES = (
    Toml(OWN, search_parents=True),
    Toml(SHARED, root_keys=("tool", "svsm-conformance"), search_parents=True),
)
"""Where options come from that the command line does not give; the first that says one counts."""


class SettingsError(ValueError):
    """A file of settings is no TOML; one line that names it."""


def check_files() -> None:
    """Whether the files that are there can be read.

    Raises: SettingsError.
    """
    here = Path.cwd()
    for name in (OWN, SHARED):
        found = (folder / name for folder in (here, *here.parents))
        path = next((one for one in found if one.is_file()), None)
        try:
            tomllib.loads(path.read_text(encoding="utf-8") if path else "")
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path}: {' '.join(str(error).split())}") from error
