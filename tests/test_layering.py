"""Imports go downward only, and no file grows past what one reads in one sitting. Read from the source, so lazy imports count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "graphflow"

# Bottom first; the packages of one line may import each other, without cycles between modules.
LAYERS = (
    ("missing", "errors", "dtypes", "shapes", "config", "nest"),
    ("io",),
    ("kernel",),
    ("graph",),
    ("ops",),
    ("autodiff",),
    ("compiler",),
    ("runtime",),
    ("data",),
    ("initializers", "raw_ops", "graph_util", "math", "random", "linalg", "bitwise", "sets", "signal", "nn", "layers", "rnn", "losses",
     "metrics", "distributions", "image", "train", "summary", "strings", "sparse", "contrib", "compat", "test"),
    ("",),  # graphflow/__init__.py
    ("tools", "__main__", "sysconfig", "version"),
)  # fmt: skip
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# The two sanctioned hooks (DESIGN.md section 2), and the name `tf.compat.v1`, which is the root itself.
UPWARD = {
    ("compat", ""),
}
# What objects show of themselves, loaded when somebody looks: `_repr_html_` and `session.report`.
SHOWING = {
    ("graphflow.graph.shown", "graphflow.tools.report.notebook"),
    ("graphflow.runtime.session", "graphflow.tools.report.notebook"),
}
MAX_LINES = 500


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST) -> Iterator[str]:
    """Every graphflow module that the code names in an import, wherever it stands; those for type checkers only are left out."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "graphflow")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            if node.module and node.module.split(".")[0] == "graphflow":
                for alias in node.names:
                    below = f"{node.module}.{alias.name}"
                    yield below if is_module(below) else node.module
        else:
            yield from imports(node)


def is_module(name: str) -> bool:
    path = ROOT.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_downward(path: Path) -> None:
    module = name_of(path)
    own = package_of(module)
    assert own in LEVEL, f"say in LAYERS where the package '{own}' stands"
    for target in imports(ast.parse(path.read_text())):
        other = package_of(target)
        if (own, other) in UPWARD or (module, target) in SHOWING:
            continue
        assert other in LEVEL, f"{module} imports {target}, which has no place in LAYERS"
        assert LEVEL[other] <= LEVEL[own], f"{module} imports {target}, which stands above it"


def test_modules_import_each_other_without_cycles() -> None:
    graph = {name_of(p): {t for t in top_imports(ast.parse(p.read_text())) if t != name_of(p)} for p in modules()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle: {' -> '.join((*trail[trail.index(module):], module))}"
        if module not in done and module in graph:
            for target in sorted(graph[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def top_imports(tree: ast.Module) -> Iterator[str]:
    """The imports that run when the module is imported. A package that re-exports its modules is no cycle of theirs."""
    yield from imports(ast.Module([n for n in tree.body if not isinstance(n, (ast.FunctionDef, ast.ClassDef))], []))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_module_is_too_long(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: split it by what its parts are about"


def test_the_check_sees_what_it_forbids() -> None:
    source = "def f():\n    from graphflow.compiler import plan, no_module\nif TYPE_CHECKING:\n    import graphflow.tools\n"
    assert list(imports(ast.parse(source))) == ["graphflow.compiler.plan", "graphflow.compiler"]
