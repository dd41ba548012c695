"""What a wheel carries beside the package; an editable install finds it in the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

INSIDE = {"data": "workbench/_data", "app.py": "workbench/_app.py", ".streamlit": "workbench/.streamlit"}


class ShippedDefault(BuildHookInterface):
    """Puts the shipped default and the app into the package."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling calls this before a build; `version` is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"].update(INSIDE)
