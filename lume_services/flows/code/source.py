"""The source of one module, as far as it says what the module does: no comments, docstrings, layout."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from importlib.util import resolve_name
from pathlib import Path

from lume_services.flows.code.reach import (
    ATTRIBUTES,
    BARE,
    IMPORTS,
    LOADED,
    NAMES,
    RUNS,
    TABLES,
    UNCLEAR,
)
from lume_services.flows.code.trees import drop_texts, parsed, text_of, words_in
from lume_services.loaded import State

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
_PROGRAM = "__main__"
_OF_PREFECT = {"prefect.flow", "prefect.task", "prefect.flows.flow", "prefect.tasks.task"}


@dataclass(frozen=True)
class Statement:
    """A statement of a module, or a function of it.

    Attributes:
        text: What it says.
        words: All names in it, those within strings too.
        imports: What it may import: modules, and names in them.
        packages: Packages of which it may import any module.
        stars: Modules of which it imports all names.
        passed: What it imports and hands on as a value: all of it can be used, should it be a module.
        unclear: What it does that no reading can follow, with the line.
        touches: What it imports and may change where the module is loaded: what it registers with, assigns
            to, derives from, calls.
        by_any_name: Whether it may come to functions that no code names.
        loaded: Whether it may come to modules that it does not import.
        name: The name of a function that does nothing where no other code names it; None otherwise.
    """

    text: str
    words: frozenset[str]
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    stars: tuple[str, ...]
    passed: tuple[str, ...]
    unclear: tuple[str, ...]
    touches: tuple[str, ...]
    by_any_name: bool
    loaded: bool
    name: str | None = None


@lru_cache(maxsize=10_000)
def read_source(file: str, state: State, module: str, package: str) -> tuple[Statement, ...]:
    """Return the statements of a module.

    Args:
        file: Its source.
        state: The state of the file. Another one is read again.
        module: The name of the module.
        package: The name of the package that relative imports start from.

    Raises:
        OSError, SyntaxError, ValueError, RecursionError, MemoryError: The source cannot be read.
    """
    del state
    tree = parsed(Path(file).read_bytes())
    drop_texts(tree)
    body = [statement for statement in tree.body if not _is_program(statement)]
    if module == _PROGRAM:
        body += [one for one in tree.body if _is_program(one) and _changes(one, body)]
    reader = _Reader(module, package, tree, _rebound(body))
    return tuple(part for statement in body for part in reader.parts(statement))


def digest_of(statements: Sequence[Statement]) -> str:
    """Return the digest of statements in their order."""
    text = "\n".join(statement.text for statement in statements)
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


@dataclass
class _Draft:
    """What is found in a statement while it is read."""

    imports: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    by_any_name: bool = False
    loaded: bool = False


class _Reader:
    def __init__(self, module: str, package: str, tree: ast.Module, rebound: set[str]) -> None:
        self.module = module
        self.package = package
        self.rebound = rebound
        self.bound: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            for name, origin in self._bindings(node):
                self.bound.setdefault(name, set()).add(origin)

    def parts(self, statement: ast.stmt) -> Iterator[Statement]:
        """Yield a statement; before a function that nobody may name, what its definition runs by itself."""
        whole = self.read(statement)
        if not isinstance(statement, _FUNCTION) or not self._only_named(statement):
            yield whole
            return
        arguments = ast.Lambda(statement.args, ast.Constant(None))
        head = [*statement.decorator_list, arguments, *([statement.returns] if statement.returns else [])]
        if runs := [part for part in head if not self._is_of_prefect(part) and _calls(part)]:
            yield self.read(ast.Expr(ast.List(runs, ast.Load())))
        yield replace(whole, name=statement.name)

    def read(self, statement: ast.stmt) -> Statement:
        text = text_of(statement)
        draft = _Draft()
        calls = {id(node.func): node for node in ast.walk(statement) if isinstance(node, ast.Call)}
        inner = {id(node.value) for node in ast.walk(statement) if isinstance(node, ast.Attribute)}
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node, draft)
            elif isinstance(node, ast.Name | ast.Attribute):
                self._attribute(node, calls.get(id(node)), draft)
                if id(node) not in inner:
                    for name in self._names_of(node):
                        self._use(node, name, calls.get(id(node)), draft)
        return Statement(
            text,
            frozenset(words_in(text)),
            tuple(draft.imports),
            tuple(draft.packages),
            tuple(draft.stars),
            tuple(draft.passed),
            tuple(draft.unclear),
            tuple(self._touched(statement)),
            draft.by_any_name,
            draft.loaded,
        )

    def _bindings(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        """Yield the names that an import binds, and what each stands for."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            source = self._absolute("." * node.level + (node.module or ""))
            for alias in node.names:
                yield alias.asname or alias.name, f"{source}.{alias.name}"

    def _import(self, node: ast.Import | ast.ImportFrom, draft: _Draft) -> None:
        if isinstance(node, ast.Import):
            draft.imports += [alias.name for alias in node.names]
            return
        source = self._absolute("." * node.level + (node.module or ""))
        draft.imports += [source, *(f"{source}.{alias.name}" for alias in node.names)]
        draft.stars += [source for alias in node.names if alias.name == "*"]

    def _names_of(self, node: ast.expr) -> set[str]:
        """Return what a name or a dotted name stands for: an import, or what is built in."""
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return set()
        origins = self.bound.get(node.id) or (set() if path else {f"builtins.{node.id}"})
        return {".".join((origin, *path)) for origin in origins}

    def _attribute(self, node: ast.Name | ast.Attribute, call: ast.Call | None, draft: _Draft) -> None:
        """Take note of a name that leads to others, whatever it belongs to."""
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        draft.loaded |= name in LOADED
        draft.by_any_name |= name in ATTRIBUTES
        if name in TABLES and isinstance(node, ast.Attribute) and call and call.args:
            draft.by_any_name |= _constant(call.args[0]) is None

    def _use(self, node: ast.expr, name: str, call: ast.Call | None, draft: _Draft) -> None:
        """Take note of something imported or built in that is used."""
        place = f"{getattr(node, 'lineno', 0)}: {name.removeprefix('builtins.')}"
        if not name.startswith("builtins."):
            draft.imports.append(name)  # a module may be an attribute of its package
            draft.passed += [name] if call is None else []
        if name in IMPORTS:
            self._import_by_name(name, call, draft, place)
        elif name in RUNS:
            self._run_text(call, draft, place)
        elif _is_in(name, UNCLEAR) or (call is None and name in BARE) or (call and _unpickles(call)):
            draft.unclear.append(f"{place}()" if call else place)
        elif name == "builtins.getattr":
            plain = call is not None and len(call.args) > 1 and _constant(call.args[1]) is not None
            draft.by_any_name |= not plain
        elif _is_in(name, NAMES) or (call is None and name == "sys"):
            draft.by_any_name = True
            draft.loaded |= name in ("sys", "sys.modules")

    def _touched(self, statement: ast.stmt) -> set[str]:
        """Return what a statement may change when its module is loaded, of what it imports."""
        heads: list[ast.AST] = [statement]
        used: list[ast.expr] = []
        if isinstance(statement, _FUNCTION | ast.ClassDef):
            heads = [*statement.decorator_list]
            used += statement.decorator_list
        if isinstance(statement, ast.ClassDef):
            heads += [one for one in statement.body if not isinstance(one, _FUNCTION)]  # a method runs later
            used += statement.bases
        for node in (node for head in heads for node in ast.walk(head)):
            if isinstance(node, ast.Call):
                used.append(node.func)
            elif isinstance(node, ast.Attribute | ast.Subscript) and _stores(node):
                used.append(node.value)
        return {name for node in used for name in self._names_of(_root(node)) if "builtins." not in name}

    def _import_by_name(self, function: str, call: ast.Call | None, draft: _Draft, place: str) -> None:
        given = [*call.args, *(keyword.value for keyword in call.keywords)] if call else []
        built_in = function.endswith("__import__")
        base = self.package if built_in else self._package_of(given[1:])
        name = _constant(given[0]) if given else None
        prefix = self._prefix(given[0], base) if given else None
        level = call is not None and any(keyword.arg in ("level", None) for keyword in call.keywords)
        if name is not None and (base is not None or not name.startswith(".")) and not level:
            draft.imports.append(self._absolute(name, base))
            draft.packages += [name] if built_in and given[1:] else []  # one of its modules may be meant
        elif prefix is not None and not level:
            draft.packages.append(prefix)
        else:
            draft.unclear.append(f"{place}() of a name that is computed")

    def _run_text(self, call: ast.Call | None, draft: _Draft, place: str) -> None:
        text = _constant(call.args[0]) if call and call.args else None
        if text is None:
            draft.unclear.append(f"{place}() of a text that is computed")
            return
        draft.by_any_name = True
        for statement in parsed(text.strip().encode()).body:
            found = self.read(statement)
            draft.imports += found.imports
            draft.packages += [*found.packages, *found.stars]
            draft.unclear += [f"{place}: {one.partition(': ')[2]}" for one in found.unclear]
            draft.loaded |= found.loaded

    def _package_of(self, given: Sequence[ast.expr]) -> str | None:
        """Return the package that a relative import starts from; None if it is computed."""
        if not given or (isinstance(given[0], ast.Name) and given[0].id == "__package__"):
            return self.package
        if isinstance(given[0], ast.Name) and given[0].id == "__name__":
            return self.module
        return _constant(given[0])

    def _prefix(self, name: ast.expr, base: str | None) -> str | None:
        """Return the package that all modules of a computed name lie in: `optics` of `f"optics.{name}"`."""
        parts: Sequence[ast.expr] = ()
        if isinstance(name, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in name.values]
        elif isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
            left = name.left
            parts = [left.left, left.right] if isinstance(left, ast.BinOp) else [left]
        texts = []
        for part in parts:
            if (text := _constant(part)) is not None:
                texts.append(text)
            elif isinstance(part, ast.Name) and part.id in ("__package__", "__name__"):
                texts.append(self.package if part.id == "__package__" else self.module)
            else:
                break
        start, dot, _ = "".join(texts).rpartition(".")
        if not dot or (not start and base is None):
            return None
        return self._absolute(start or ".", base or "")

    def _absolute(self, name: str, base: str | None = None) -> str:
        try:
            return resolve_name(name, base or self.package) if name.startswith(".") else name
        except ImportError:
            return name.lstrip(".")

    def _only_named(self, statement: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Return whether nothing but its name leads to a function: no decorator has put it anywhere."""
        implicit = statement.name.startswith("__")
        return not implicit and all(map(self._is_of_prefect, statement.decorator_list))

    def _is_of_prefect(self, node: ast.expr) -> bool:
        """Return whether a decorator is `flow` or `task` of Prefect, with options that run nothing."""
        if isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            return self._is_of_prefect(node.func) and not any(map(_calls, given))
        names = self._names_of(node)
        hidden = "*" in self.bound or not self.rebound.isdisjoint(words_in(text_of(node)) & self.bound.keys())
        return bool(names) and names <= _OF_PREFECT and not hidden


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _calls(node: ast.AST) -> bool:
    """Return whether something runs where an expression is evaluated."""
    return any(isinstance(one, ast.Call | ast.Await | ast.NamedExpr) for one in ast.walk(node))


def _rebound(body: Iterable[ast.stmt]) -> set[str]:
    """Return the names that are bound by something else than an import, in functions too."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    return stored | {node.name for node in nodes if isinstance(node, _FUNCTION | ast.ClassDef)}


def _is_program(statement: ast.stmt) -> bool:
    """Return whether this is `if __name__ == "__main__":`, which nobody runs who imports the module."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    return ast.unparse(statement.test) == "__name__ == '__main__'"


def _changes(program: ast.stmt, body: Sequence[ast.stmt]) -> bool:
    """Return whether a program may change what the rest of its module uses."""
    rest = ast.Module(list(body), [])
    nodes = list(ast.walk(program))
    bound = _rebound([program]) | {one.asname or one.name for one in nodes if isinstance(one, ast.alias)}
    data = _rebound([one for one in body if isinstance(one, ast.Assign | ast.AnnAssign | ast.AugAssign)])
    return (
        not bound.isdisjoint(words_in(text_of(rest)))
        or any(isinstance(one, ast.Global) for one in ast.walk(rest))
        or any(isinstance(one, ast.Attribute | ast.Subscript) and _stores(one) for one in nodes)
        or any(isinstance(one, ast.Name) and one.id in data for one in nodes)
    )


def _root(node: ast.expr) -> ast.expr:
    """Return the name that `name.register(…)`, `name[…]` or the like begins with."""
    while isinstance(node, ast.Call | ast.Subscript | ast.Attribute):
        inner = node.func if isinstance(node, ast.Call) else node.value
        if isinstance(node, ast.Attribute) and isinstance(inner, ast.Name | ast.Attribute):
            return node
        node = inner
    return node


def _stores(node: ast.Attribute | ast.Subscript | ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _is_in(name: str, names: frozenset[str]) -> bool:
    """Return whether a dotted name is one of these, or in one of them."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))


def _unpickles(call: ast.Call) -> bool:
    """Return whether a call asks for objects of any class: `np.load(…, allow_pickle=True)`."""
    safe = {"allow_pickle": False, "weights_only": True}
    return any(
        keyword.arg in safe
        and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is safe[keyword.arg])
        for keyword in call.keywords
    )
