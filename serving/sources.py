"""Which of our source files a module needs: its imports, followed through our own packages."""

import ast
from collections.abc import Iterator
from pathlib import Path


def needed_files(code_root: Path, module: str) -> set[Path]:
    """The files under `code_root`, relative to it, that importing and running `module` reads.

    Imports inside functions count, imports for type checkers only do not.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        for path in _files_of(code_root, waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.extend(_imports(ast.parse((code_root / path).read_text(encoding="utf-8"))))
    return found


def _files_of(code_root: Path, module: str) -> Iterator[Path]:
    """The module's own file and the `__init__.py` of each package around it; none for a library."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        path = Path(*parts[:depth])
        for candidate in (path / "__init__.py", path.with_suffix(".py")):
            if (code_root / candidate).is_file():
                yield candidate


def _imports(tree: ast.AST) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from package import module` names a file, `from module import name` does not; the caller looks.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if not _is_for_types_only(node):
            waiting.extend(ast.iter_child_nodes(node))


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
