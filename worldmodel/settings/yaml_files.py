"""YAML from untrusted sources: plain values, of bounded size and depth."""

from pathlib import Path
from typing import Any

import yaml

from worldmodel.system.files import read_text

MAX_BYTES = 2**20
MAX_DEPTH = 20

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; ValueError, in one line, where there is none or it is made to exhaust memory."""
    text = read_text(path, MAX_BYTES)
    depth = 0
    try:
        for event in yaml.parse(text, _LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("aliases, which can unfold to any size")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError("nested too deep")
        content = yaml.load(text, _LOADER)  # noqa: S506  (a safe loader)
    except ValueError:
        raise
    except Exception as error:  # PyYAML raises whatever a tag provokes, such as a timestamp that is none
        raise ValueError(f"not YAML ({' '.join(str(error).split())})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"a mapping was expected, not {type(content).__name__}")
    return content
