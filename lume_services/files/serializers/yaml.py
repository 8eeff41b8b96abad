"""YAML."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from lume_services.errors import UnreadableFileError
from lume_services.files.serializers.exact import refuse_changes, refuse_other_types
from lume_services.values.written import CORE_RESOLVERS, read_written


class YAMLSerializer:
    """What plain YAML 1.2 can hold: dicts, lists, text, numbers, True, False, None; keys are scalars.

    What would be read as something else is refused: tuples, sets, dates, bytes, NumPy numbers.
    """

    def serialize(self, filename: str, obj: Any) -> None:
        """Write an object to a file; the order of keys is kept.

        Raises:
            EncodeError: Plain YAML cannot hold a part of the object; the error names it.
        """
        refuse_other_types(obj, "plain YAML", keys=(str, int, float, bool, type(None)))
        text = yaml.dump(obj, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        Path(filename).write_text(text, encoding="utf-8", newline="")
        refuse_changes(obj, self.deserialize(filename))

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read an object from a file.

        Raises:
            UnreadableFileError: It is not YAML 1.2, has a tag, or a key twice in a dict.
        """
        text = Path(filename).read_bytes().decode("utf-8-sig")
        written = read_written(text, "", what="file", most=sys.maxsize)
        for place, problem in written.problems:
            raise UnreadableFileError(problem.message, where=f"line {place.line}", remedy=problem.remedy)
        return written.data


class _Dumper(yaml.SafeDumper):
    """Puts quotes around text that YAML 1.1 or 1.2 would read as something else."""


for _tag, _pattern, _first in CORE_RESOLVERS:
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)

# Outside of double quotes, where they are escaped, they would be taken for ends of lines or lost.
_ESCAPED = re.compile("[\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff]")


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if _ESCAPED.search(text) else None
    )


_Dumper.add_representer(str, _represent_text)
