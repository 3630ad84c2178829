"""A Python without tinydiff, wherever this folder is in PYTHONPATH: Python imports sitecustomize by itself."""

import sys
from importlib.machinery import ModuleSpec


class Without:
    """A finder that is asked first, and finds no tinydiff."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] == "tinydiff":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


sys.meta_path.insert(0, Without)
