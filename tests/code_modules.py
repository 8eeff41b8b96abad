"""Modules whose code is compared, in a folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from lume_services.flows.code.code import Code
from lume_services.flows.code.read import code_of

ENTRYPOINT = "step:step"


class Modules:
    """Modules in a folder, which can be edited and loaded again."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {text}"
        path.write_text(text.replace(old, new))

    def flow(self) -> Any:
        self.forget()
        if (self.folder / "beside.py").exists():  # the module of another step, which is loaded as well
            import_module("beside")
        return import_module("step").step

    def code(self) -> Code:
        return code_of(self.flow(), ENTRYPOINT)

    def forget(self) -> None:
        tops = {path.stem for path in self.folder.iterdir()}
        for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
            del sys.modules[name]


def step(*lines: str, before: str = "", **others: str) -> dict[str, str]:
    body = "\n".join(f"    {line}" for line in lines)
    return {"step.py": f"from prefect import flow\n{before}\n@flow\ndef step():\n{body}\n", **others}
