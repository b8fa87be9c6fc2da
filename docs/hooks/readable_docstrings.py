"""An extension of griffe that shows "name: meaning" lines of docstrings as lists."""

from typing import Any

import griffe

from docs.hooks.field_notes import as_list


class ReadableDocstrings(griffe.Extension):
    """Rewrites the docstring of every object."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = as_list(obj.docstring.value)
