"""What a wheel holds beside the Python package: configs, the demo's model and prompts, and the built explorer.

With them `pip install flowatlas` alone can run the demo, make a site and serve it, without Node.js. In a checkout
(`pip install --editable`) all of it is found where it lies, so nothing is copied.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = {"conf": "conf", "data/models/demo": "data/models/demo", "data/prompts": "data/prompts"}
EXPLORER = "explorer/dist"


class Assets(BuildHookInterface):
    """Puts the folders into the wheel, under `flowatlas/`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        folders = dict(FOLDERS)
        if (Path(self.root) / EXPLORER / "index.html").is_file():
            folders[EXPLORER] = "explorer"
        else:
            self.app.display_warning(
                "the explorer is not built, so this wheel makes no sites: `make wheel` builds both"
            )
        for source, place in folders.items():
            build_data["force_include"][str(Path(self.root) / source)] = f"flowatlas/{place}"
