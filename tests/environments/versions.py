"""Print the lowest version of each dependency that pyproject.toml allows, as constraints for pip.

`python -m tests.environments.versions > constraints.txt`
"""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def lowest():
    """Yield name==version for each direct dependency."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"]:
        requirement = Requirement(line)
        (version,) = (own.version for own in requirement.specifier if own.operator == ">=")
        yield f"{requirement.name}=={version}"


if __name__ == "__main__":
    print("\n".join(lowest()))
