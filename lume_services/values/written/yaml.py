"""YAML 1.2 with the core schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from lume_services.errors import UnreadableFileError
from lume_services.values.written.reader import Loc, Reader, int_of, text_of


class _CoreLoader(yaml.SafeLoader):
    """YAML 1.2 core schema instead of YAML 1.1, where `on` is a bool and `1e-6` is text."""


_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_TAG = "tag:yaml.org,2002:"
CORE_RESOLVERS = (
    (_TAG + "null", _NULL, ["~", "n", "N", ""]),
    (_TAG + "bool", _BOOL, list("tTfF")),
    (_TAG + "int", _INT, list("-+0123456789")),
    (_TAG + "float", _FLOAT, list("-+.0123456789")),
)
"""What a plain scalar means, as PyYAML takes it: tag, form, and the characters that it begins with."""
_CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in CORE_RESOLVERS:
    _CoreLoader.add_implicit_resolver(_tag, _pattern, _first)

_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _TAG + "str": text_of,
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": int_of,
}


class YAMLReader(Reader):
    """Reads YAML; the reader of PyYAML tells no lines, and takes a key twice."""

    def read(self, text: str) -> Any:
        """Return the data of a text."""
        try:
            root = yaml.compose(text, Loader=_CoreLoader)
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            reason = str(error).splitlines()[0]
            raise UnreadableFileError(f"the file is not YAML: {reason}.", where=self.source) from None
        return None if root is None else self._value((), root)

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> UnreadableFileError:
        mark = error.problem_mark or error.context_mark
        where = f"{self.source}:{mark.line + 1}" if mark else self.source
        reason = ", ".join(part for part in (error.problem, error.context) if part)
        if "'\\t'" in reason:
            message, remedy = "the line is indented with a tab.", "Indent with spaces."
        else:
            message = f"the file is not YAML: {reason}."
            remedy = "Check the indentation, the colons and the quotes around this line."
        return UnreadableFileError(message, where=where, remedy=remedy)

    def _value(self, loc: Loc, node: yaml.Node) -> Any:
        self.begin(loc, _line(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(loc, node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._value((*loc, index), item) for index, item in enumerate(node.value)]
        if node.tag == _TAG + "float" and isinstance(node, yaml.ScalarNode):
            return self.number(loc, node.value, _line(node))
        return self._scalar(node)

    def _mapping(self, loc: Loc, node: yaml.MappingNode) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node)
            if self.key(loc, key, _line(key_node), lines):
                found[key] = self._value((*loc, key), value_node)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        read = self.floats if node.tag == _TAG + "float" else _SCALARS.get(node.tag)
        if read is None or not isinstance(node, yaml.ScalarNode):
            message = f"{node.tag.replace(_TAG, '!!')} is not allowed here."
            remedy = (
                f"A {self.what} holds text, numbers, lists and maps, without tags; a key is text or a number."
            )
            self.problem(_line(node), message, remedy)
            return None
        return self.scalar(read, node.value, _line(node))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
