"""The report: one HTML page that shows a program's compilation from its source lines to the machine code and its time.

    walk.py       going through Programs, regions and groups
    ops.py        the graph's operations: source lines, edges, kernels, share of time
    passes.py     what each pass removed, added and changed
    kernels.py    loop IR, LLVM IR and assembly of a kernel with links between their lines; instruction mix
    memory.py     the arena over the schedule
    model.py      all of it as plain data (JSON)
    page.py       the data and the view as one file
    notebook.py   what Graph, Tensor and compiled objects show of themselves in a notebook
    view/         the page's HTML, CSS and JavaScript
"""

from graphflow.tools.report.model import model_of
from graphflow.tools.report.page import page_text, write

__all__ = ["model_of", "page_text", "write"]
