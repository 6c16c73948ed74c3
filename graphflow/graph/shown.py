"""What notebooks show of a Graph, a Tensor and a compiled run: the hook to the page of tools/report, which stands far above."""

from __future__ import annotations


class Shown:
    """Something that the report's page can show."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from graphflow.tools.report import notebook  # made of the compiler's stages, and loaded only where somebody looks

        return notebook.html_of(self)
