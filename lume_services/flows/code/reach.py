"""By what code can come to other code, without an import or a name that a reader can see."""

from __future__ import annotations

IMPORTS = frozenset({"importlib.import_module", "builtins.__import__", "importlib.__import__"})
"""They import what their first argument names."""

RUNS = frozenset({"builtins.eval", "builtins.exec"})
"""They run the text that they are given."""

UNCLEAR = frozenset(
    {
        "builtins.__builtins__",
        "cloudpickle",
        "dill",
        "hydra.utils",
        "imp",
        "importlib.machinery",
        "importlib.metadata.entry_points",
        "importlib.util.spec_from_file_location",
        "importlib_metadata",
        "joblib.load",
        "lazy_loader",
        "numpy.ctypeslib.load_library",
        "pandas.read_pickle",
        "pickle.Unpickler",
        "pickle.load",
        "pickle.loads",
        "pkg_resources",
        "pkgutil.resolve_name",
        "prefect.deployments.run_deployment",
        "prefect.flow.from_source",
        "prefect.Flow.from_source",
        "prefect.flows.Flow.from_source",
        "prefect.flows.load_flow_from_entrypoint",
        "pydantic.ImportString",
        "pydoc",
        "runpy",
        "shelve",
    }
)
"""With these, or with anything in them, code runs that only the run knows."""

BARE = frozenset({"builtins", "importlib", "importlib.util", "pickle"})
"""Likewise, where they are handed on as a whole."""

NAMES = frozenset(
    {
        "builtins.dir",
        "builtins.globals",
        "builtins.locals",
        "builtins.vars",
        "gc",
        "importlib",
        "inspect",
        "operator.attrgetter",
        "operator.methodcaller",
        "pickle",
        "pkgutil",
        "sys._getframe",
        "sys.modules",
    }
)
"""With these, or with anything in them, code can come to functions that it does not name."""

ATTRIBUTES = frozenset(
    {"__dict__", "__getattr__", "__getattribute__", "__globals__", "__subclasses__", "f_globals", "f_locals"}
)
"""Likewise, as an attribute of anything."""

TABLES = frozenset({"eval", "query"})
"""Methods of a table that look names up in the text that they are given."""

LOADED = frozenset({"__subclasses__", "get_objects", "get_referrers", "get_referents"})
"""With these, code can come to modules that it does not import."""
