"""Edits of code, and whether a step has to run again after each."""

# ruff: noqa: E501, ISC004 - a table

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prefect import flow

HEAD = "from prefect import flow, task\n"


@dataclass(frozen=True)
class Edit:
    """An edit of one file.

    Attributes:
        name: What it is an example of.
        step: The module of the flow `step`, which has no parameters.
        old: What is replaced.
        new: What it is replaced by.
        again: Whether the step has to run again.
        file: The file that is edited.
        others: The other modules.
    """

    name: str
    step: str
    old: str
    new: str
    again: bool = True
    file: str = "step.py"
    others: dict[str, str] = field(default_factory=dict)

    def files(self) -> dict[str, str]:
        """Return all files, by name."""
        found = {"step.py": self.step, **self.others}
        return {name: HEAD * (name == "step.py") + textwrap.dedent(text) for name, text in found.items()}


def _flow(*lines: str, before: str = "", decorator: str = "@flow") -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"{textwrap.dedent(before)}\n{decorator}\ndef step():\n{body}\n"


HELPERS = """
    def first(x):
        return x + 1

    def second(x):
        return x * 2
"""

ORDER = [
    Edit("statements swapped", _flow("x = 3", "x = x + 1", "x = x * 2", "return x"),
         "x = x + 1\n    x = x * 2", "x = x * 2\n    x = x + 1"),
    Edit("statements swapped in a task",
         _flow("return work(3)", before="@task\ndef work(x):\n    x = x + 1\n    x = x * 2\n    return x\n"),
         "x = x + 1\n    x = x * 2", "x = x * 2\n    x = x + 1"),
    Edit("bodies exchanged", _flow("return first(3) - second(5)", before=HELPERS),
         "return x + 1\n\ndef second(x):\n    return x * 2", "return x * 2\n\ndef second(x):\n    return x + 1"),
    Edit("defaults exchanged",
         _flow("return first() - second()", before="def first(x=1):\n    return x\ndef second(x=2):\n    return x\n"),
         "x=1):\n    return x\ndef second(x=2)", "x=2):\n    return x\ndef second(x=1)"),
    Edit("decorators exchanged", _flow("return first(3) - second(5)", before="""
         def plus(f):
             return lambda x: f(x) + 10
         def times(f):
             return lambda x: f(x) * 10
         @plus
         def first(x):
             return x
         @times
         def second(x):
             return x
         """), "@plus\ndef first(x):\n    return x\n@times", "@times\ndef first(x):\n    return x\n@plus"),
    Edit("a statement moved to another helper",
         _flow("return first(3) * second(5)",
               before="def first(x):\n    x += 1\n    return x\ndef second(x):\n    return x\n"),
         "    x += 1\n    return x\ndef second(x):\n", "    return x\ndef second(x):\n    x += 1\n"),
    Edit("a return moved up", _flow("x = 3", "x += 1", "return x"), "    x += 1\n    return x", "    return x\n    x += 1"),
    Edit("constants swapped", _flow("return K", before="K = 1\nK = 2\n"), "K = 1\nK = 2", "K = 2\nK = 1"),
    Edit("a branch swapped", _flow("return 1 if K else 2", before="K = True\n"), "1 if K else 2", "2 if K else 1"),
    Edit("indentation that means something", _flow("x = 0", "for i in range(3):", "    x += i", "    x += 1", "return x"),
         "        x += 1", "    x += 1"),
    Edit("one digit", _flow("return 0.1234567890123456"), "123456\n", "123457\n"),
    Edit("integer and float", _flow("return 2"), "return 2", "return 2.0"),
    Edit("a sign", _flow("return 0.0"), "0.0", "-0.0"),
    Edit("a keyword argument", _flow("return round(number=2.345, ndigits=1)"), "ndigits=1", "ndigits=2"),
    Edit("the text of a string", _flow("return 'a b'"), "a b", "a  b"),
    Edit("a definition that comes later wins", _flow("return first(3)", before=HELPERS), "def second", "def first"),
]  # fmt: skip

CALLED = [
    Edit("a flow inside", _flow("return inner()", before="@flow\ndef inner():\n    return 1\n"), "return 1", "return 2"),
    Edit("a flow of another module", _flow("return inner()", before="from inner import inner\n"), "return 1", "return 2",
         file="inner.py", others={"inner.py": "from prefect import flow\n@flow\ndef inner():\n    return 1\n"}),
    *(
        Edit(f"a helper under {decorator}",
             _flow(f"return {call}", before=f"{imports}\n{decorator}\ndef helper(x):\n    return x + 1\n"),
             "return x + 1", "return x + 2")
        for imports, decorator, call in [
            ("from functools import lru_cache", "@lru_cache", "helper(1)"),
            ("from functools import cache", "@cache", "helper(1)"),
            ("import numpy as np", "@np.vectorize", "int(helper(1))"),
            ("class Compiled:\n    def __init__(self, f):\n        self.f = f\n    def __call__(self, *a):\n"
             "        return self.f(*a)", "@Compiled", "helper(1)"),
        ]
    ),
    Edit("a helper in a partial",
         _flow("return made()",
               before="from functools import partial\ndef helper(x):\n    return x + 1\nmade = partial(helper, 1)\n"),
         "return x + 1", "return x + 2"),
    Edit("the argument of a partial",
         _flow("return made()",
               before="from functools import partial\ndef helper(x):\n    return x + 1\nmade = partial(helper, 1)\n"),
         "helper, 1", "helper, 2"),
    Edit("an implementation of a singledispatch", _flow("return scaled(1)", before="""
         from functools import singledispatch
         @singledispatch
         def scaled(x):
             return 0
         @scaled.register
         def _(x: int):
             return x * 2
         """), "x * 2", "x * 3"),
    Edit("a class of __subclasses__()", _flow("return [one.gain for one in Base.__subclasses__()]", before="""
         class Base:
             pass
         class Derived(Base):
             gain = 1
         """), "gain = 1", "gain = 2"),
    Edit("a class of __subclasses__() in another module",
         _flow("return [one.gain for one in Base.__subclasses__()]", before="from base import Base\nimport more\n"),
         "gain = 1", "gain = 2", file="more.py",
         others={"base.py": "class Base:\n    pass\n", "more.py": "from base import Base\nclass D(Base):\n    gain = 1\n"}),
    Edit("a method of a base class", _flow("return Derived().field()", before="""
         class Base:
             def field(self):
                 return 1
         class Derived(Base):
             pass
         """), "return 1", "return 2"),
    Edit("globals()[…]", _flow("return globals()['help' + 'er'](1)", before="def helper(x):\n    return x + 1\n"),
         "return x + 1", "return x + 2"),
    Edit("getattr of a module", _flow("return getattr(tools, 'help' + 'er')(1)", before="import tools\n"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("getattr under another name", _flow("return get(tools, NAME)(1)", before="import tools\nget = getattr\nNAME = 'helpe' 'r'\n"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("attrgetter", _flow("return attrgetter('help' + 'er')(tools)(1)",
                             before="import tools\nfrom operator import attrgetter\n"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("a module that is handed on", _flow("return [f(1) for f in vars_of(tools)]", before="""
         import tools
         from look import vars_of
         """), "return x + 1", "return x + 2", file="tools.py",
         others={"tools.py": "def helper(x):\n    return x + 1\n",
                 "look.py": "from inspect import getmembers, isfunction\n"
                            "def vars_of(m):\n    return [f for _, f in getmembers(m, isfunction)]\n"}),
    Edit("import_module of a name",
         _flow("return import_module('tools').helper(1)", before="from importlib import import_module\n"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("import_module under another name",
         _flow("return load('tools').helper(1)", before="from importlib import import_module as load\n"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("__import__", _flow("return __import__('tools').helper(1)"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("import_module of a name that is computed in a package",
         _flow("return import_module(f'kit.{NAME}').helper(1)", before="from importlib import import_module\nNAME = 'tools'\n"),
         "return x + 1", "return x + 2", file="kit/tools.py",
         others={"kit/__init__.py": "", "kit/tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("an import inside of a function", _flow("import tools", "return tools.helper(1)"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("an import of an import", _flow("return helper(1)", before="from tools import helper\n"),
         "GAIN = 1", "GAIN = 2", file="deep.py",
         others={"tools.py": "import deep\ndef helper(x):\n    return x + deep.GAIN\n", "deep.py": "GAIN = 1\n"}),
    Edit("an import of all names", _flow("return helper(1)", before="from tools import *\n"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("the package around a module", _flow("return deep.gain()", before="import kit.deep as deep\n"),
         "GAIN = 1", "GAIN = 2", file="kit/__init__.py",
         others={"kit/__init__.py": "GAIN = 1\n", "kit/deep.py": "import kit\ndef gain():\n    return kit.GAIN\n"}),
    Edit("a function in a table", _flow("return TABLE['a'](1)",
                                        before="def helper(x):\n    return x + 1\nTABLE = {'a': helper}\n"),
         "return x + 1", "return x + 2"),
    Edit("a module's own __getattr__", _flow("return tools.gain", before="import tools\n"),
         "return 1", "return 2", file="tools.py", others={"tools.py": "def __getattr__(name):\n    return 1\n"}),
    Edit("import_module of a relative name",
         _flow("return import_module('.tools', package='kit').helper(1)", before="from importlib import import_module\nimport kit\n"),
         "return x + 1", "return x + 2", file="kit/tools.py",
         others={"kit/__init__.py": "", "kit/tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("__import__ of a module in a package", _flow("return __import__('kit', fromlist=['tools']).tools.helper(1)"),
         "return x + 1", "return x + 2", file="kit/tools.py",
         others={"kit/__init__.py": "", "kit/tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("an import in a text that runs", _flow("found = {}", "exec('from tools import helper', found)", "return found['helper'](1)"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("a module that is an attribute of its package", _flow("return kit.tools.GAIN", before="import kit\nimport other\n"),
         "GAIN = 1", "GAIN = 2", file="kit/tools.py",
         others={"kit/__init__.py": "", "kit/tools.py": "GAIN = 1\n", "other.py": "import kit.tools\n"}),
    Edit("a module of a package that is handed on", _flow("return [f(1) for f in functions(kit.tools)]", before="""
         import kit.tools
         from look import functions
         """), "return x + 1", "return x + 2", file="kit/tools.py",
         others={"kit/__init__.py": "", "kit/tools.py": "def helper(x):\n    return x + 1\n",
                 "look.py": "from inspect import getmembers, isfunction\n"
                            "def functions(m):\n    return [f for _, f in getmembers(m, isfunction)]\n"}),
    Edit("__getattribute__", _flow("return tools.__getattribute__('help' + 'er')(1)", before="import tools\n"),
         "return x + 1", "return x + 2", file="tools.py", others={"tools.py": "def helper(x):\n    return x + 1\n"}),
    Edit("a name with a mark", _flow("return x\u0302()", before="def x\u0302():\n    return 1\n"), "return 1", "return 2"),
    Edit("a name in a text that a table looks up", _flow("return table.query('a > @limit()').a.tolist()",
         before="import pandas as pd\ntable = pd.DataFrame({'a': [1, 2]})\ndef limit():\n    return 1\n"), "return 1", "return 0"),
    Edit("a text that is evaluated", _flow("return eval('helper(1)')", before="def helper(x):\n    return x + 1\n"),
         "return x + 1", "return x + 2"),
    Edit("a name that now hides a builtin", _flow("return abs(-1)", before="def other(x):\n    return 7\n"),
         "def other", "def abs"),
]  # fmt: skip

# Modules that the step does not import, but that are loaded beside it: `beside.py` is, by the test.
BESIDE = [
    Edit("an implementation that another module registers", _flow("return scaled(1)", before="from base import scaled\n"),
         "x * 2", "x * 3", file="beside.py",
         others={"base.py": "from functools import singledispatch\n@singledispatch\ndef scaled(x):\n    return 0\n",
                 "beside.py": "from base import scaled\n@scaled.register\ndef _(x: int):\n    return x * 2\n"}),
    Edit("a constant that another module sets", _flow("return base.K", before="import base\n"), "= 1", "= 2", file="beside.py",
         others={"base.py": "K = 0\n", "beside.py": "import base\nbase.K = 1\n"}),
    Edit("an item that another module adds", _flow("return TABLE['a']", before="from base import TABLE\n"), "= 1", "= 2",
         file="beside.py", others={"base.py": "TABLE = {}\n", "beside.py": "from base import TABLE\nTABLE['a'] = 1\n"}),
    Edit("a function that another module registers", _flow("return [f() for f in KNOWN]", before="from base import KNOWN\n"),
         "return 1", "return 2", file="beside.py",
         others={"base.py": "KNOWN = []\ndef known(f):\n    KNOWN.append(f)\n    return f\n",
                 "beside.py": "from base import known\n@known\ndef one():\n    return 1\n"}),
    Edit("what another module registers by a call", _flow("return KNOWN", before="from base import KNOWN\n"), "(1)", "(2)",
         file="beside.py",
         others={"base.py": "KNOWN = []\n", "beside.py": "import base\nif True:\n    base.KNOWN.append(1)\n"}),
    Edit("a class that another module derives", _flow("return [one.k for one in Base.__subclasses__()]", before="from base import Base\n"),
         "k = 1", "k = 2", file="beside.py",
         others={"base.py": "class Base:\n    pass\n", "beside.py": "from base import Base\nclass D(Base):\n    k = 1\n"}),
]  # fmt: skip

CONSTANTS = [
    Edit("append", _flow("return K", before="K = [1]\nK.append(2)\n"), "append(2)", "append(3)"),
    Edit("update", _flow("return K", before="K = {}\nK.update(a=2)\n"), "a=2", "a=3"),
    Edit("a function with global", _flow("return K", before="def init():\n    global K\n    K = 1\ninit()\n"), "K = 1", "K = 2"),
    Edit("an item in a loop", _flow("return K", before="K = {}\nfor i in range(2):\n    K[i] = i\n"), "K[i] = i", "K[i] = -i"),
    Edit("an item under a condition", _flow("return K", before="K = {}\nif True:\n    K['a'] = 1\n"), "= 1", "= 2"),
    Edit("what a constant is made of", _flow("return B", before="A = 1\nB = A + 1\n"), "A = 1", "A = 2"),
    Edit("a default that is evaluated", _flow("return K", before="K = []\ndef other(x=K.append(1)):\n    pass\n"),
         "append(1)", "append(2)"),
    Edit("a decorator that stores", _flow("return [f() for f in K]", before="""
         K = []
         def stored(f):
             K.append(f)
             return f
         @stored
         def other():
             return 1
         """), "return 1", "return 2"),
    Edit("set by another module", _flow("return base.K", before="import base\nimport sets\n"), "= 1", "= 2", file="sets.py",
         others={"base.py": "K = 0\n", "sets.py": "import base\nbase.K = 1\n"}),
    Edit("a class attribute", _flow("return C.k", before="class C:\n    k = 1\n"), "k = 1", "k = 2"),
    Edit("set after the class", _flow("return C.k", before="class C:\n    k = 0\nC.k = 1\n"), "C.k = 1", "C.k = 2"),
    Edit("a flow of a factory: what it encloses",
         "def make(k):\n    @flow\n    def step():\n        return k\n    return step\nstep = make([1])\n", "[1]", "[2]"),
    Edit("a flow of a factory: its code",
         "def make(k):\n    @flow\n    def step():\n        return k[0] + 1\n    return step\nstep = make([1])\n", "+ 1", "+ 2"),
]  # fmt: skip

NOT = [
    Edit("a comment", _flow("return 1  # one"), "# one", "# the one", again=False),
    Edit("empty lines", _flow("return 1"), "@flow", "\n\n\n@flow", again=False),
    Edit("layout", _flow("return (1 +", "        2)"), "(1 +\n            2)", "1   +  2", again=False),
    Edit("quotes", _flow("return 'a'"), "'a'", '"a"', again=False),
    Edit("a docstring of the flow", _flow('"""One."""', "return 1"), "One", "The one", again=False),
    Edit("a docstring that was not there", _flow("return 1"), "    return 1", '    """One."""\n    return 1', again=False),
    Edit("a docstring of the module", _flow("return 1", before='"""Old."""\n'), "Old", "New", again=False),
    Edit("a docstring of a class", _flow("return C.k", before='class C:\n    """Old."""\n    k = 1\n'), "Old", "New", again=False),
    Edit("a docstring of an attribute", _flow("return C.k", before='class C:\n    k = 1\n    """Old."""\n'), "Old", "New", again=False),
    Edit("how a number is written", _flow("return 1000"), "1000", "1_000", again=False),
    Edit("a module that is not imported", _flow("return 1"), "1", "2", again=False, file="other.py", others={"other.py": "K = 1\n"}),
    Edit("a module that imports this one", _flow("return K", before="from base import K\n"), "+ 1", "+ 2", again=False,
         file="other.py", others={"base.py": "K = 1\n", "other.py": "from base import K\nL = K + 1\n"}),
    Edit("another flow of another module, which uses the same helper", _flow("return helper(1)", before="from base import helper\n"),
         "helper(2)", "helper(3)", again=False, file="beside.py",
         others={"base.py": "def helper(x):\n    return x\n",
                 "beside.py": "from prefect import flow\nfrom base import helper\n@flow\ndef report():\n    return helper(2)\n"}),
    Edit("a method of another module, which calls the same helper", _flow("return helper(1)", before="from base import helper\n"),
         "helper(2)", "helper(3)", again=False, file="beside.py",
         others={"base.py": "def helper(x):\n    return x\n",
                 "beside.py": "from base import helper\nclass Report:\n    def made(self):\n        return helper(2)\n"}),
    Edit("another flow of the module", _flow("return 1", before="@flow\ndef report():\n    return 5\n"), "5", "6", again=False),
    Edit("another task of the module", _flow("return 1", before="@task(retries=3)\ndef report():\n    return 5\n"), "5", "6", again=False),
    Edit("a function that nobody names", _flow("return 1", before="def report(x: list[int]):\n    return 5\n"), "5", "6", again=False),
    Edit("what only such a function imports", _flow("return 1", before="def report():\n    import tools\n"), "1", "2", again=False,
         file="tools.py", others={"tools.py": "K = 1\n"}),
    Edit("the program", _flow("return 1", before='if __name__ == "__main__":\n    print(5)\n'), "print(5)", "print(6)", again=False),
    Edit("a module of a package of which all names are imported", _flow("return GAIN", before="from kit import *\n"), "1", "2", again=False,
         file="kit/tools.py", others={"kit/__init__.py": "GAIN = 1\n", "kit/tools.py": "K = 1\n"}),
    Edit("a function beside an ordinary word", _flow("return load_source({'dir': 'modules'})",
         before="def load_source(query):\n    return sorted(query)\ndef report():\n    return 5\n"), "5", "6", again=False),
    Edit("a data file", _flow("return 1"), "1", "2", again=False, file="data.txt", others={"data.txt": "1"}),
]  # fmt: skip

EDITS = [*ORDER, *CALLED, *BESIDE, *CONSTANTS, *NOT]


def closure(constant: Any, function: Callable[[int], int] = abs) -> Any:
    """Return a flow that this call has made."""

    @flow
    def enclosing(x: int = 0) -> Any:
        return constant, function(x)

    return enclosing
