"""What may hold a secret, shown without it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

MASK = "**********"
"""What is shown in the place of a secret."""

# Whatever is in these may be one: environment variables, arguments of other people's classes, headers.
_PRIVATE = frozenset({"env", "environment", "options", "headers"})
_HARMLESS = frozenset({"authmechanism", "authsource"})
_SECRET = re.compile(
    r"pass|pwd|secret|token|key|auth|credential|cookie|private|signature|bearer|dsn|uri|connection_?string",
    re.IGNORECASE,
)
_IN_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^/?#\s'\"]*@", re.IGNORECASE)
_IN_QUERY = re.compile(
    r"([?&;][^=&;#\s]*(?:pass|pwd|secret|token|key|auth|credential|signature|sig)[^=&;#\s]*=)[^&;#\s'\"]+",
    re.IGNORECASE,
)


def may_be_secret(name: str) -> bool:
    """Tell by the name of an option, a variable or a header whether its value may be a secret."""
    if name.lower() in _HARMLESS:
        return False
    return name.lower() in _PRIVATE or _SECRET.search(name) is not None


def without_credentials(text: str) -> str:
    """Return text with the user and password of each URL in it masked, and what its query names as secret."""
    if "://" not in text:
        return text
    return _IN_QUERY.sub(rf"\1{MASK}", _IN_URL.sub(rf"\1{MASK}@", text))


def masked(name: str, value: Any) -> Any:
    """Return the value of a setting for reading, with the mask in the place of whatever may be a secret.

    Args:
        name: Of the setting. Of environment variables, options and headers the names alone are shown.
        value: Its value; also nested.
    """
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked_item(name, str(key), item, value) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(name, item) for item in value]
    if value is None or isinstance(value, bool | BaseModel):
        return value
    if name.lower() in _PRIVATE:
        return MASK
    return without_credentials(value) if isinstance(value, str) else value


def _masked_item(section: str, key: str, value: Any, beside: Mapping[Any, Any]) -> Any:
    if section.lower() in _PRIVATE:
        return masked(section, value)
    # As Kubernetes has it: {"name": "TOKEN", "value": "…"}.
    of_a_variable = key == "value" and "name" in beside
    return masked("env" if of_a_variable or may_be_secret(key) else key, value)
