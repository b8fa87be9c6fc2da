"""Makes imports find our top-level packages even if the user has packages of the same names."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

NAMES = ("kernels", "search_spaces", "policies", "compress")
HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class OwnPackagesFinder:
    """A finder on `sys.meta_path` for the packages in `NAMES` and their direct submodules.

    It searches our folders first, then others of the same name, so `compress.mine` in the
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
    """Return our package, or the first package with an `__init__.py` if ours has none.

    `find_spec` then adds our submodules to that package's own.
    """
    ours = PathFinder.find_spec(name, [HOME])
    if ours is None or ours.loader:
        return ours
    others = (PathFinder.find_spec(name, [entry]) for entry in sys.path)
    return next((o for o in others if o and o.loader and o.submodule_search_locations), ours)


def install() -> None:
    """Put the finder before all other finders.

    Raises `ImportError` if a module that hides one of ours has already been imported.
    """
    for name, module in list(sys.modules.items()):
        if _hides_ours(name, module):
            raise ImportError(
                f"another module named {name} was imported before nas and hides the one that "
                f"nas needs: import nas first, or rename {_origin(module) or name}",
                name=name,
            )
    sys.meta_path.insert(0, OwnPackagesFinder)


def _hides_ours(name: str, module: ModuleType) -> bool:
    package, dot, rest = name.partition(".")
    if package not in NAMES or "." in rest:
        return False
    if not dot:  # any package can hold our submodules, but a single file cannot
        return not hasattr(module, "__path__")
    ours = PathFinder.find_spec(name, [os.path.join(HOME, package)])
    if ours is None or ours.origin is None:
        return False
    return _origin(module) != os.path.realpath(ours.origin)


def _origin(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return os.path.realpath(file) if file else None
