"""Our other top-level packages are the ones beside `nas/`, even if yours have the same names."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

NAMES = ("kernels", "search_spaces", "policies", "compress")
HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class OwnPackagesFinder:
    """Finds the packages in `NAMES` and their direct submodules, for `sys.meta_path`.

    Ours come first and other folders of the same name after them, so `compress.mine` in the
    user's folder and Hugging Face's `kernels` can still be imported.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, dot, module = name.partition(".")
        if package not in NAMES or "." in module:
            return None
        if not dot:
            return _package(name)
        folders = [os.path.join(entry or os.getcwd(), package) for entry in (HOME, *sys.path)]
        return PathFinder.find_spec(name, [*folders, *(path or ())])


def _package(name: str) -> ModuleSpec | None:
    """Return our package. If it has no `__init__.py`, return the first package that has one:
    its submodules are ours and theirs."""
    ours = PathFinder.find_spec(name, [HOME])
    if ours is None or ours.loader:
        return ours
    others = (PathFinder.find_spec(name, [entry]) for entry in sys.path)
    return next((o for o in others if o and o.loader and o.submodule_search_locations), ours)


def install() -> None:
    """Put the finder before all others.

    Raises `ImportError` if a module that hides one of ours has been imported before.
    """
    for name, module in list(sys.modules.items()):
        if _hides_ours(name, module):
            raise ImportError(
                f"another module called {name} was imported before nas and hides the one that "
                f"nas needs: import nas first, or rename {_origin(module) or name}",
                name=name,
            )
    sys.meta_path.insert(0, OwnPackagesFinder)


def _hides_ours(name: str, module: ModuleType) -> bool:
    package, dot, rest = name.partition(".")
    if package not in NAMES or "." in rest:
        return False
    if not dot:  # our submodules are found in any package, but a single file has none
        return not hasattr(module, "__path__")
    ours = PathFinder.find_spec(name, [os.path.join(HOME, package)])
    if ours is None or ours.origin is None:
        return False
    return _origin(module) != os.path.realpath(ours.origin)


def _origin(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return os.path.realpath(file) if file else None
