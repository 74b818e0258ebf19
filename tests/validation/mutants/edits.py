"""Small edits of source code, as a programmer's mistakes would make them.

An edit replaces a comparison, an arithmetic or boolean operator, a constant, a condition, a
returned value, or min by max. Messages, docstrings, annotations and `__all__` are never changed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# The pattern of an operator in the source, and what replaces it.
COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: (r"\bin\b", "not in"),
    ast.NotIn: (r"\bnot\s+in\b", "in"),
    ast.Is: (r"\bis\b", "is not"),
    ast.IsNot: (r"\bis\s+not\b", "is"),
}
ARITHMETIC = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
}
BOOLEAN = {ast.And: (r"\band\b", "or"), ast.Or: (r"\bor\b", "and")}
EXTREMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
# `not` before these is the same as their own edit.
OPPOSITES = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)
TYPE_FORMS = {"Annotated", "Literal", "TypeVar", "NewType", "cast"}
MESSAGE_CALLS = re.compile(r"(Error|Warning)$|^(warn|print|add_note)$")
# A string constant that is a key, a name or a number; every other one is text for a reader.
KEY = re.compile(r"[\w.:/-]{2,}")


@dataclass(frozen=True)
class Edit:
    """The bytes from `start` to `end` of a file become `after`."""

    operator: str
    start: int
    end: int
    after: str


def last_name(node: ast.AST | None) -> str:
    """Return the last part of a name or an attribute: "max" for `np.max`."""
    return getattr(node, "attr", getattr(node, "id", ""))


def is_excluded(node: ast.AST) -> bool:
    """Return whether a node is a message, a docstring, a type or `__all__`."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Call(func=part) if MESSAGE_CALLS.search(last_name(part)):
            return True
        case ast.Call(func=part) | ast.Subscript(value=part):
            names = TYPE_FORMS
        case ast.Assign(targets=[part]):
            names = {"__all__"}
        case ast.AnnAssign(annotation=part):
            names = {"TypeAlias"}
        case ast.If(test=part):
            names = {"TYPE_CHECKING"}
        case _:
            return False
    return last_name(part) in names


def editable_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it, except what no mutant changes."""
    if is_excluded(node):
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name not in {"annotation", "returns"}:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from editable_nodes(child)


class Editor:
    """The edits of one file."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.tree = ast.parse(source)
        self.offsets = [0]
        for line in source.splitlines(keepends=True):
            self.offsets.append(self.offsets[-1] + len(line))

    def edits(self) -> Iterator[Edit]:
        """Yield all edits, from top to bottom."""
        makers: dict[type[ast.AST], Callable[[Any], Iterator[Edit]]] = {
            ast.Compare: self.comparisons,
            ast.BinOp: self.arithmetic,
            ast.AugAssign: self.arithmetic,
            ast.BoolOp: self.boolean_operators,
            ast.UnaryOp: self.negations,
            ast.Constant: self.constants,
            ast.Return: self.return_values,
            ast.Call: self.extremes,
            ast.If: lambda node: self.conditions(node.test),
            ast.IfExp: lambda node: self.conditions(node.test),
            ast.While: lambda node: self.conditions(node.test),
            ast.comprehension: lambda node: self.conditions(*node.ifs),
        }
        for node in editable_nodes(self.tree):
            if type(node) in makers:
                yield from makers[type(node)](node)

    def span(self, node: Any) -> tuple[int, int]:
        """Return the offsets of a node's first byte and of the one after its last."""
        return (
            self.offsets[node.lineno - 1] + node.col_offset,
            self.offsets[node.end_lineno - 1] + node.end_col_offset,
        )

    def text(self, node: ast.AST) -> str:
        """Return the source of a node."""
        start, end = self.span(node)
        return self.source[start:end].decode()

    def between(
        self, operator: str, left: ast.AST, right: ast.AST, pattern: str, after: str
    ) -> Edit:
        """Return the edit of the operator between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        match = re.search(pattern.encode(), self.source[start:end])
        assert match, f"no {pattern} in {self.source[start:end]!r}"
        return Edit(operator, start + match.start(), start + match.end(), after)

    def comparisons(self, node: ast.Compare) -> Iterator[Edit]:
        """Replace each comparison by its neighbour or its opposite."""
        operands = [node.left, *node.comparators]
        for sign, left, right in zip(node.ops, operands, operands[1:], strict=False):
            yield self.between("comparison", left, right, *COMPARISONS[type(sign)])

    def arithmetic(self, node: ast.BinOp | ast.AugAssign) -> Iterator[Edit]:
        """Exchange + and -, * and /, except where strings are joined."""
        match node:
            case ast.BinOp(left=left, right=right):
                pass
            case ast.AugAssign(target=left, value=right):
                pass
        joined = any(isinstance(side, ast.JoinedStr) or is_string(side) for side in (left, right))
        if type(node.op) in ARITHMETIC and not joined:
            yield self.between("arithmetic", left, right, *ARITHMETIC[type(node.op)])

    def boolean_operators(self, node: ast.BoolOp) -> Iterator[Edit]:
        """Exchange each `and` and `or`."""
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield self.between("boolean", left, right, *BOOLEAN[type(node.op)])

    def negations(self, node: ast.UnaryOp) -> Iterator[Edit]:
        """Remove a `not`."""
        if isinstance(node.op, ast.Not):
            yield Edit("negation", *self.span(node), f"bool({self.text(node.operand)})")

    def constants(self, node: ast.Constant) -> Iterator[Edit]:
        """Negate a bool, add 1 to a number, add a letter to a key."""
        match node.value:
            case bool() as value:
                yield Edit("constant", *self.span(node), str(not value))
            case int() | float() as value:
                different = value + 1 if value + 1 != value else value / 2
                yield Edit("constant", *self.span(node), repr(different))
            case str() as value if KEY.fullmatch(value):
                yield Edit("constant", *self.span(node), repr(value + "x"))

    def return_values(self, node: ast.Return) -> Iterator[Edit]:
        """Return None instead of a value, unless the value is a false constant."""
        false = isinstance(node.value, ast.Constant) and not node.value.value
        if node.value is not None and not false:
            yield Edit("return", *self.span(node.value), "None")

    def extremes(self, node: ast.Call) -> Iterator[Edit]:
        """Exchange min and max."""
        name = last_name(node.func)
        if name in EXTREMES:
            end = self.span(node.func)[1]
            yield Edit("extreme", end - len(name), end, EXTREMES[name])

    def conditions(self, *tests: ast.expr) -> Iterator[Edit]:
        """Negate conditions, except where another edit does the same."""
        for test in tests:
            negation = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
            opposite = isinstance(test, ast.Compare) and isinstance(test.ops[0], OPPOSITES)
            if not negation and not opposite:
                yield Edit("condition", *self.span(test), f"not ({self.text(test)})")


def is_string(node: ast.AST) -> bool:
    """Return whether a node is a string constant."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
