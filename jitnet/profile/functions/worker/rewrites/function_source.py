"""A function's source as text and as a tree, and changes of the text.

Changes are edits of the user's text, so that all else keeps its layout and comments, and a diff is short.
"""

import ast
import difflib
import inspect
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

__all__ = ["COMPREHENSIONS", "SCOPES", "Edit", "FunctionSource", "Unchangeable", "make_function", "walk"]

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
OPERATORS = (ast.BinOp, ast.UnaryOp, ast.Attribute, ast.Subscript, ast.Call, ast.Starred)


class Unchangeable(Exception):
    """A function, or a place in it, whose source cannot be changed safely."""


@dataclass(frozen=True)
class Edit:
    """text: what replaces the characters from begin to end."""

    begin: int
    end: int
    text: str


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and those inside it, in the order of the source; not those of functions defined in it, nor of
    comprehensions."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, SCOPES + COMPREHENSIONS):
            yield from walk(child)


class FunctionSource:
    """The source of one function under `def`.

    text: its lines in the file, with decorators, indented as there. node: its tree, with the line numbers of the file.
    Raises Unchangeable where there is none.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        self.file = str(function.__code__.co_filename)
        try:
            lines, self.first = inspect.getsourcelines(function.__code__)
        except (OSError, TypeError, IndentationError, SyntaxError) as error:
            raise Unchangeable(str(error)) from None
        self.text = "".join(lines)
        if not self.text.endswith("\n"):
            self.text += "\n"
        indented = self.text[:1].isspace()
        try:
            tree: Any = ast.parse("if True:\n" * indented + self.text)
        except SyntaxError as error:  # a lambda in the middle of an expression
            raise Unchangeable(str(error)) from None
        ast.increment_lineno(tree, self.first - 1 - indented)
        body = tree.body[0].body if indented else tree.body
        if len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or body[0].name != function.__name__:
            raise Unchangeable("it is not a single def")
        self.node: ast.FunctionDef = body[0]
        self.parents = {id(child): node for node in ast.walk(self.node) for child in ast.iter_child_nodes(node)}
        self._starts = [0]
        for line in self.text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    # Places in the text.

    def _offset(self, line: int, column: int) -> int:
        begin = self._starts[line - self.first]
        whole = self.text[begin : self._starts[line - self.first + 1]]
        return begin + len(whole.encode()[:column].decode())

    def begin(self, node: Any) -> int:
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: Any) -> int:
        return self._offset(node.end_lineno, node.end_col_offset)

    def segment(self, node: Any) -> str:
        """Return the text of a node."""
        return self.text[self.begin(node) : self.end(node)]

    def indent(self, statement: Any) -> str:
        """Return the white space before a statement. Raises Unchangeable where another precedes it in its line."""
        begin = self._starts[statement.lineno - self.first]
        before = self.text[begin : self.begin(statement)]
        if before.strip():
            raise Unchangeable("several statements in a line")
        return before

    # What is around a node.

    def loops_around(self, node: Any) -> list[Any]:
        """Return the loops whose body has a node, the innermost first."""
        found, inner = [], node
        while id(inner) in self.parents:
            outer = self.parents[id(inner)]
            if isinstance(outer, (ast.For, ast.While)) and any(inner is each for each in outer.body):
                found.append(outer)
            inner = outer
        return found

    def around_in_statement(self, node: Any, *kinds: type) -> list[Any]:
        """Return the expressions of these kinds around a node, up to its statement."""
        found = []
        while not isinstance(node, ast.stmt):
            node = self.parents[id(node)]
            if isinstance(node, kinds):
                found.append(node)
        return found

    def statement_of(self, node: Any) -> Any:
        """Return the statement that a node is part of."""
        while not isinstance(node, ast.stmt):
            node = self.parents[id(node)]
        return node

    def block_of(self, statement: Any) -> list[Any]:
        """Return the list of statements that has this one."""
        parent = self.parents[id(statement)]
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and any(each is statement for each in value):
                return value
        raise Unchangeable("not in a block")

    # Edits.

    def replace(self, node: Any, text: str) -> Edit:
        """Put text in the place of an expression, in brackets where it is an operand."""
        begin, end = self.begin(node), self.end(node)
        enclosed = self.text[begin - 1 : begin] == "(" and self.text[end : end + 1] == ")"
        parent = self.parents[id(node)]
        operand = isinstance(parent, OPERATORS) and not (isinstance(parent, ast.Call) and parent.func is not node)
        operand = operand and not (isinstance(parent, ast.Subscript) and parent.slice is node)
        simple = text.isidentifier() or isinstance(ast.parse(text, mode="eval").body, (ast.Call, ast.Subscript))
        return Edit(begin, end, text if enclosed or simple or not operand else f"({text})")

    def line_begin(self, statement: Any) -> int:
        """Return where the line of a statement begins. Raises Unchangeable where another precedes it there."""
        self.indent(statement)
        return self._starts[statement.lineno - self.first]

    def before(self, statement: Any, *lines: str) -> Edit:
        """Insert statements before another. Raises Unchangeable where it does not begin its line."""
        indent, at = self.indent(statement), self.line_begin(statement)
        return Edit(at, at, "".join(f"{indent}{line}\n" for line in lines))

    def after(self, statement: Any, *lines: str) -> Edit:
        """Insert statements after another. Raises Unchangeable where more follows in its line."""
        indent = self.indent(statement)
        at = self._starts[statement.end_lineno - self.first + 1]
        rest = self.text[self.end(statement) : at].strip()
        if rest and not rest.startswith("#"):
            raise Unchangeable("several statements in a line")
        return Edit(at, at, "".join(f"{indent}{line}\n" for line in lines))

    def lines_of(self, statement: Any, *lines: str) -> Edit:
        """Put statements in the place of one, comments in its lines included."""
        return Edit(self.line_begin(statement), self.after(statement).end, self.before(statement, *lines).text)

    def changed(self, edits: Sequence[Edit]) -> str:
        """Return the text after edits. Raises Unchangeable where they overlap."""
        ordered = sorted(dict.fromkeys(edits), key=lambda edit: (edit.begin, edit.end))
        text, at = "", 0
        for edit in ordered:
            if edit.begin < at:
                raise Unchangeable("changes overlap")
            text += self.text[at : edit.begin] + edit.text
            at = edit.end
        return text + self.text[at:]

    # Results.

    def dedented(self, text: str) -> str:
        """Return a changed text without the function's indent; lines inside texts are left as they are."""
        indent = text[: len(text) - len(text.lstrip(" \t"))]
        if not indent:
            return text
        tree = ast.parse("if True:\n" + text)
        inside = {
            line - 1
            for node in ast.walk(tree)
            if isinstance(node, (ast.Constant, ast.JoinedStr))
            for line in range(node.lineno + 1, (node.end_lineno or 0) + 1)
        }
        lines = text.splitlines(keepends=True)
        return "".join(
            line if at in inside else line.removeprefix(indent) if line.startswith(indent) else line.lstrip(" \t")
            for at, line in enumerate(lines, 1)
        )

    def diff(self, text: str) -> str:
        """Return a unified diff of the user's file, as `patch -p1` and `git apply` take it."""
        try:
            with open(self.file, encoding="utf-8", newline="") as file:
                whole = file.read()
        except (OSError, UnicodeDecodeError):
            whole = "\n" * (self.first - 1) + self.text
        old = whole.replace("\r\n", "\n").splitlines(keepends=True)
        count = len(self.text.splitlines())
        new = old[: self.first - 1] + text.splitlines(keepends=True) + old[self.first - 1 + count :]
        if len(new) and self.first - 1 + count >= len(old) and not old[-1].endswith("\n"):
            new[-1] = new[-1].removesuffix("\n")
        path = os.path.relpath(self.file) if self.file.startswith(os.getcwd() + os.sep) else self.file.lstrip(os.sep)
        path = path.replace(os.sep, "/")
        lines = list(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}"))
        ending = "\r\n" if "\r\n" in whole else "\n"
        return "".join(_complete(line, ending if at > 1 else "\n") for at, line in enumerate(lines))


def _complete(line: str, ending: str) -> str:
    if not line.endswith("\n"):
        return f"{line}\n\\ No newline at end of file\n"
    return line if line.startswith(("@@", "---", "+++")) else line.removesuffix("\n") + ending


def make_function(function: Any, original: str, source: str) -> Any:
    """Return the function of a changed source, without decorators.

    It has the globals, closure and defaults of the original function, its file, and for each statement the line from
    which it came. original: the source that was changed, without its indent.
    """
    tree: Any = ast.parse(source)
    node = tree.body[0]
    node.decorator_list = []
    _set_lines(node, _lines_before(original, source), function.__code__.co_firstlineno - 1)
    free = function.__code__.co_freevars
    if free:
        outer = ast.parse(f"def outer({', '.join(free)}):\n    pass").body[0]
        assert isinstance(outer, ast.FunctionDef)
        outer.body = [node]
        tree.body = [outer]
    made = compile(tree, function.__code__.co_filename, "exec")
    code = _code_of(made, node.name)
    cells = dict(zip(free, function.__closure__ or (), strict=True))
    changed = FunctionType(
        code,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(cells[name] for name in code.co_freevars),
    )
    changed.__kwdefaults__ = function.__kwdefaults__
    changed.__qualname__ = function.__qualname__
    changed.__module__ = function.__module__
    changed.__doc__ = function.__doc__
    return changed


def _code_of(made: CodeType, name: str) -> CodeType:
    inner = [each for each in made.co_consts if isinstance(each, CodeType)]
    found = next((each for each in inner if each.co_name == name), None)
    return found if found is not None else _code_of(inner[0], name)


def _lines_before(original: str, source: str) -> list[int]:
    """Return for each line of a changed source the line from which it came, both counted from 1."""
    old, new = original.splitlines(), source.splitlines()
    lines = [1] * (len(new) + 1)
    for kind, begin, end, at, until in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for offset in range(until - at):
            before = begin + offset if kind in ("equal", "replace") else begin
            lines[at + offset + 1] = max(1, min(before + 1, max(end, begin + 1), len(old)))
    return lines


def _set_lines(node: ast.AST, lines: Sequence[int], shift: int) -> None:
    for each in ast.walk(node):
        at: Any = each
        if hasattr(at, "lineno"):
            at.lineno, at.end_lineno = lines[at.lineno] + shift, lines[at.end_lineno or at.lineno] + shift
            at.end_lineno = max(at.lineno, at.end_lineno)
            if at.lineno == at.end_lineno:
                at.end_col_offset = max(at.col_offset, at.end_col_offset)
