"""The source of one module, as far as it says what the module does: no comments, docstrings, layout."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from importlib.util import resolve_name
from pathlib import Path

from lume_services.loaded import State

# With these names, code can come to what another module has loaded, or to a function that it does not name.
_LOADED = frozenset({"__subclasses__", "modules", "get_objects", "get_referrers", "get_referents"})
_FRAMES = {"globals", "locals", "vars", "f_globals", "f_locals", "_getframe", "currentframe", "inspect"}
_FIELDS = {"dir", "attrgetter", "methodcaller", "__dict__", "__globals__", "__builtins__"}
_TEXTS = {"eval", "exec", "query", "pickle", "cloudpickle", "dill", "joblib"}
_MODULES = {"import_module", "__import__", "importlib", "pkgutil"}
_BY_ANY_NAME = _LOADED | _FRAMES | _FIELDS | _TEXTS | _MODULES
_IMPORTS = ("import_module", "__import__")
_RUNS = ("eval", "exec")
_LOADERS = {"spec_from_file_location", "SourceFileLoader", "exec_module", "load_module", "load_source"}
_PROGRAMS = {"run_path", "run_module", "entry_points", "iter_entry_points"}
_FLOWS = {"load_flow_from_entrypoint", "from_source", "run_deployment"}
_LOADS = _LOADERS | _PROGRAMS | _FLOWS
_LOOKED_FOR = frozenset({"Import", "ImportFrom", "getattr", *_IMPORTS, *_RUNS, *_LOADS})
_GETATTR = "getattr()"  # with a name that is computed
_WORD = re.compile(r"[^\W\d]\w*")
_ESCAPE = re.compile(r"\\(?:[abfnrtv]|x..|u.{4}|U.{8})")
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Statement:
    """A statement of a module, or a function of it.

    Attributes:
        text: What it says.
        words: All names in it, those within texts too.
        imports: The modules that it may import: what a name is imported from, and the name in it.
        packages: Packages of which it may import any module.
        passed: What it imports and hands on as a whole, should it be a module.
        unclear: What it does that no reading can follow, with the line.
        name: The name of a function that does nothing where no other code names it; None otherwise.
    """

    text: str
    words: frozenset[str]
    imports: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    name: str | None = None

    @property
    def by_any_name(self) -> bool:
        """Whether it may come to functions that no code names."""
        return not _BY_ANY_NAME.isdisjoint(self.words) or _GETATTR in self.words

    @property
    def what_is_loaded(self) -> bool:
        """Whether it may come to modules that it does not import."""
        return not _LOADED.isdisjoint(self.words)


@lru_cache(maxsize=1024)
def read_source(file: str, state: State, module: str, package: str) -> tuple[Statement, ...]:
    """Return the statements of a module.

    Args:
        file: Its source.
        state: The state of the file. Another one is read again.
        module: The name of the module.
        package: The name of the package that relative imports start from.

    Raises:
        OSError, SyntaxError, ValueError, RecursionError: The source cannot be read.
    """
    del state
    tree = ast.parse(Path(file).read_bytes())
    _drop_texts(tree)
    body = [statement for statement in tree.body if not _is_program(statement)]
    if module == "__main__":
        body += [
            one for one in tree.body if _is_program(one) and not _bound(one).isdisjoint(_words(_text(body)))
        ]
    reader = _Reader(module, package, _names_of_prefect(body))
    return tuple(part for statement in body for part in reader.parts(statement))


def digest_of(statements: Sequence[Statement]) -> str:
    """Return the digest of statements in their order."""
    return sha256(
        "\n".join(statement.text for statement in statements).encode(errors="surrogatepass")
    ).hexdigest()


@dataclass
class _Draft:
    """What is found in a statement while it is read."""

    words: set[str]
    imports: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    plain_getattr: int = 0


class _Reader:
    def __init__(self, module: str, package: str, prefect: frozenset[str]) -> None:
        self.module = module
        self.package = package
        self.prefect = prefect
        self.bound: dict[str, str] = {}

    def parts(self, statement: ast.stmt) -> Iterator[Statement]:
        """Yield a statement; before a function that nobody may name, what its definition runs by itself."""
        whole = self.read(statement)
        if not isinstance(statement, _FUNCTION) or not self._only_named(statement):
            yield whole
            return
        head = [
            *statement.decorator_list,
            statement.args,
            *([statement.returns] if statement.returns else []),
        ]
        runs = [part for part in head if not self._is_of_prefect(part) and _calls(part)]
        if runs:
            yield self.read(ast.Expr(ast.List([_as_expression(part) for part in runs], ast.Load())))
        yield replace(whole, name=statement.name)

    def read(self, statement: ast.stmt) -> Statement:
        text = ast.dump(statement)
        words = _words(text)
        draft = _Draft(words)
        for node in ast.walk(statement) if not words.isdisjoint(_LOOKED_FOR) else ():
            if isinstance(node, ast.Import):
                self._import(node, draft)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node, draft)
            elif isinstance(node, ast.Call):
                self._call(node, draft)
        if not words.isdisjoint((*_IMPORTS, *_RUNS)):
            draft.unclear += _not_called(statement)
        if text.count("'getattr'") > draft.plain_getattr:
            words.add(_GETATTR)
        passed = tuple(self.bound[name] for name in self.bound.keys() & words if _hands_on(text, name))
        return Statement(
            text, frozenset(words), tuple(draft.imports), tuple(draft.packages), passed, tuple(draft.unclear)
        )

    def _import(self, node: ast.Import, draft: _Draft) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self.bound[alias.asname or top] = alias.name if alias.asname else top
            draft.imports.append(alias.name)

    def _import_from(self, node: ast.ImportFrom, draft: _Draft) -> None:
        source = self._absolute("." * node.level + (node.module or ""))
        draft.imports.append(source)
        for alias in node.names:
            if alias.name == "*":
                draft.packages.append(source)
            else:
                self.bound[alias.asname or alias.name] = f"{source}.{alias.name}"
                draft.imports.append(f"{source}.{alias.name}")

    def _call(self, node: ast.Call, draft: _Draft) -> None:
        name = _name_of(node.func)
        first = node.args[0] if node.args else None
        constant = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        if name in _IMPORTS:
            if constant is not None:
                draft.imports.append(self._absolute(constant))
            elif prefix := self._prefix(first):
                draft.packages.append(prefix)
            else:
                draft.unclear.append(f"{node.lineno}: {name}() with a name that is computed")
        elif name in _LOADS:
            draft.unclear.append(f"{node.lineno}: {name}()")
        elif name in _RUNS and constant is None and not isinstance(node.func, ast.Attribute):
            draft.unclear.append(f"{node.lineno}: {name}() of a text that is computed")
        elif name == "getattr" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            draft.plain_getattr += 1

    def _prefix(self, name: ast.expr | None) -> str | None:
        """Return the package that all modules of a computed name lie in: `optics` of `f"optics.{name}"`."""
        parts: list[ast.expr] = []
        if isinstance(name, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in name.values]
        elif isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
            left = name
            while isinstance(left.left, ast.BinOp) and isinstance(left.left.op, ast.Add):
                left = left.left
            parts = [left.left, left.right]
        texts = []
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                texts.append(part.value)
            elif isinstance(part, ast.Name) and part.id in ("__package__", "__name__"):
                texts.append(self.package if part.id == "__package__" else self.module)
            else:
                break
        start, dot, _ = "".join(texts).rpartition(".")
        return self._absolute(start or ".") if dot else None

    def _absolute(self, name: str) -> str:
        try:
            return resolve_name(name, self.package) if name.startswith(".") else name
        except ImportError:
            return name.lstrip(".")

    def _only_named(self, statement: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Return whether nothing but its name leads to a function: no decorator has put it anywhere."""
        implicit = statement.name.startswith("__")
        return not implicit and all(map(self._is_of_prefect, statement.decorator_list))

    def _is_of_prefect(self, node: ast.AST) -> bool:
        """Return whether a decorator is `flow` or `task` of Prefect, with options that run nothing."""
        if isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            return self._is_of_prefect(node.func) and not any(map(_calls, given))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return node.attr in ("flow", "task") and f"{node.value.id}." in self.prefect
        return isinstance(node, ast.Name) and node.id in self.prefect


def _names_of_prefect(body: list[ast.stmt]) -> frozenset[str]:
    """Return the names of Prefect's decorators in a module, and of Prefect itself with a point after it."""
    found: set[str] = set()
    others: list[ast.stmt] = []
    for statement in body:
        aliases = statement.names if isinstance(statement, ast.Import | ast.ImportFrom) else []
        if isinstance(statement, ast.ImportFrom) and statement.module == "prefect":
            found |= {one.asname or one.name for one in aliases if one.name in ("flow", "task")}
        elif isinstance(statement, ast.Import) and [one.name for one in aliases] == ["prefect"]:
            found.add(f"{aliases[0].asname or 'prefect'}.")
        else:
            others.append(statement)
    bound = set().union(*map(_bound, others))
    return frozenset(name for name in found if bound.isdisjoint({"*", name.rstrip(".")}))


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds, in the functions in it too."""
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, _FUNCTION | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
    return found


def _text(body: list[ast.stmt]) -> str:
    return ast.dump(ast.Module(body, []))


def _words(text: str) -> set[str]:
    """Return all names in the text of a statement, those within strings too."""
    words = set(_WORD.findall(text))
    if "\\" in text:  # the n of a line end is no part of the word after it
        words.update(_WORD.findall(_ESCAPE.sub(" ", text)))
    return words


def _hands_on(text: str, name: str) -> bool:
    """Return whether a name is used by itself, and not only as `name.attribute`."""
    used = f"Name(id={name!r}, ctx=Load())"
    return text.count(used) > text.count(f"Attribute(value={used}")


def _not_called(statement: ast.stmt) -> list[str]:
    """Return where a function that imports or runs code is given away, so that it may be called anywhere."""
    calls = {id(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)}
    found = []
    for node in ast.walk(statement):
        if isinstance(node, ast.alias):
            if node.name in (*_IMPORTS, *_RUNS) and node.asname not in (None, node.name):
                found.append(f"{node.lineno}: {node.name} under another name")
        elif isinstance(node, ast.Name) and node.id in (*_IMPORTS, *_RUNS) and id(node) not in calls:
            found.append(f"{node.lineno}: {node.id} as a value")
        elif isinstance(node, ast.Attribute) and node.attr in _IMPORTS and id(node) not in calls:
            found.append(f"{node.lineno}: {node.attr} as a value")
    return found


def _drop_texts(tree: ast.Module) -> None:
    """Drop docstrings, and other texts that stand by themselves."""
    for node in list(ast.walk(tree)):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list) and any(map(_is_text, body)):
                rest = [statement for statement in body if not _is_text(statement)]
                setattr(node, name, rest or [ast.Pass()])


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_program(statement: ast.stmt) -> bool:
    """Return whether this is `if __name__ == "__main__":`, which nobody runs who imports the module."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    return ast.unparse(statement.test) == "__name__ == '__main__'"


def _calls(node: ast.AST) -> bool:
    """Return whether something runs where an expression is evaluated."""
    return any(isinstance(one, ast.Call | ast.Await | ast.NamedExpr) for one in ast.walk(node))


def _name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _as_expression(node: ast.AST) -> ast.expr:
    """Return an expression with all that runs in a part of a function's head."""
    if isinstance(node, ast.arguments):
        return ast.Lambda(node, ast.Constant(None))
    return node if isinstance(node, ast.expr) else ast.Constant(None)
