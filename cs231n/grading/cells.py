"""Choose, from a notebook's cells, the statements that a few functions need, and run them.

Downloads, plots, checks and trials stand at the top level of a notebook beside what the functions need:
imports, helpers, constants. A statement is needed if it gives a value to a name that a needed statement
uses; all others are left out, so that they can neither fail nor take time.
"""

from __future__ import annotations

import ast
import linecache
import re
import symtable
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from cs231n.observation import describe_error

_LINE_MAGIC = re.compile(r"^(?P<indent>[ \t]*)(?:[%!?]|[\w., \t]*=[ \t]*[%!]|[^#'\"\n]*\?[ \t]*$).*$")
_HARMLESS_CELL_MAGICS = {"%%time", "%%timeit", "%%capture", "%%prun"}
_SETTINGS = {"disable_v2_behavior", "disable_eager_execution", "reset_default_graph"}
"""Functions whose bare call is needed although it gives no value to a name."""
_FILLERS = {"add", "append", "extend", "insert", "setdefault", "update"}
"""Methods whose call counts as giving a value to the name of the list, dictionary or set that they fill."""


@dataclass(frozen=True)
class Statement:
    """A statement at the top level of a notebook.

    Attributes
    ----------
    node : ast.stmt
    filename : str
        "cell 7", counted over all code cells from 1.
    binds, uses : set of str
        The names that it gives a value to, and the global ones that it or its functions look up.
    """

    node: ast.stmt
    filename: str
    binds: frozenset[str]
    uses: frozenset[str]


def parse_cells(cells: Sequence[str]) -> tuple[list[Statement], list[str]]:
    """Return all statements of the code cells, and a sentence for each cell that is not Python."""
    statements, problems = [], []
    for number, source in enumerate(cells, start=1):
        filename = f"cell {number}"
        try:
            tree = _parse(source, filename)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            problems.append(f"Cell {number} is not Python: {error}.")
            continue
        for node in _use_version_1(tree).body:
            try:
                statements.append(_describe(node, filename))
            except (SyntaxError, RecursionError) as error:  # `global` after a name's use, for example
                problems.append(f"Cell {number} is not Python: {error}.")
    return statements, problems


def select(statements: Sequence[Statement], names: Collection[str]) -> list[Statement]:
    """Return the statements that are needed to define `names`, in the notebook's order."""
    needed, known = set(names), set()
    while needed - known:
        known = set(needed)
        for statement in statements:
            if statement.binds & known:
                needed |= statement.uses
    known.add("*")  # what `from module import *` brings is not known before it runs
    return [statement for statement in statements if statement.binds & known or _is_setting(statement.node)]


def run(statements: Sequence[Statement], namespace: dict[str, Any]) -> list[str]:
    """Run statements one by one; return a sentence for each that fails, and go on."""
    problems = []
    for statement in statements:
        try:
            exec(compile(ast.Module([statement.node], []), statement.filename, "exec"), namespace)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the learner's own here
            problems.append(f"{statement.filename.capitalize()} failed with {describe_error(error)}.")
    return problems


def _parse(source: str, filename: str) -> ast.Module:
    """Return a cell's syntax tree; IPython's own lines, which are no Python, are left out."""
    lines = source.splitlines()
    if lines and lines[0].startswith("%%"):
        if lines[0].split()[0] not in _HARMLESS_CELL_MAGICS:
            return ast.Module([], [])
        lines[0] = ""
    # The tracebacks of what a cell defines quote its lines from here.
    linecache.cache[filename] = (len(source), None, [f"{line}\n" for line in lines], filename)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes, for example
        try:
            return ast.parse("\n".join(lines), filename)
        except SyntaxError:
            # Only now: a line of an expression may begin with a percent sign, too.
            return ast.parse("\n".join(_LINE_MAGIC.sub(r"\g<indent>pass", line) for line in lines), filename)


class _Version1(ast.NodeTransformer):
    """Makes `import tensorflow as tf` mean what it meant in 2017."""

    def visit_Import(self, node: ast.Import) -> ast.Import:
        for alias in node.names:
            if alias.name == "tensorflow":
                alias.name, alias.asname = "tensorflow.compat.v1", alias.asname or "tensorflow"
        return node


def _use_version_1(tree: ast.Module) -> ast.Module:
    return _Version1().visit(tree)


def _describe(node: ast.stmt, filename: str) -> Statement:
    binds, uses = set(), set()
    for child in _walk_scope(node):
        if isinstance(child, ast.Name | ast.Attribute | ast.Subscript) and isinstance(child.ctx, ast.Store):
            binds.add(_base_name(child))
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            binds.add(child.name)
        elif isinstance(child, ast.Import | ast.ImportFrom):
            binds |= {(alias.asname or alias.name).split(".")[0] for alias in child.names}
        elif _is_filling(child):
            binds.add(_base_name(child.func))
    scopes = [symtable.symtable(ast.unparse(node), filename, "exec")]
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            if scope.get_type() == "module" or symbol.is_global():
                if symbol.is_referenced():
                    uses.add(symbol.get_name())
                if symbol.is_declared_global():
                    binds.add(symbol.get_name())
    return Statement(node, filename, frozenset(binds - {None}), frozenset(uses))


def _walk_scope(node: ast.AST) -> list[ast.AST]:
    """Return a statement's nodes without those inside of functions, classes and comprehensions."""
    found, waiting = [], [node]
    inner = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
    while waiting:
        child = waiting.pop()
        found.append(child)
        if not isinstance(child, inner):
            waiting += ast.iter_child_nodes(child)
    return found


def _is_filling(node: ast.AST) -> bool:
    """Tell whether a node is a call of a method that fills a list, dictionary or set."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _FILLERS


def _base_name(target: ast.expr) -> str | None:
    """Return `a` for the targets a, a.b and a[0]."""
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


def _is_setting(node: ast.stmt) -> bool:
    """Tell whether a statement is a bare call that changes how TensorFlow works."""
    call = node.value if isinstance(node, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    return isinstance(function, ast.Attribute) and function.attr in _SETTINGS
