"""Values, text and bytes with one change.

Every function `as_…` of this package takes a generator and valid content, and returns content with one change. The
generator is Python's, so that hypothesis can stand in for it and shrink failing inputs.
"""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from xml.etree import ElementTree

import yaml

Mutation = Callable[[Random, bytes], bytes]
"""A generator and valid content -> content with one change."""


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 2, 255, 65536, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64, -(2**63), 10**30, -(10**400),
    0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), "", "nan", "1e400", "x" * 5000, "\0", "a\nb",
    "\x1b[2J", "\u202egnp", "../../etc/passwd", "/etc/passwd", "~", "${oc.env:HOME}", "world.py:make", "gym:os/x-v0",
    "\ud800", [], {}, [[]], {"": 0}, [None], [0] * 300, ["x"] * 300, _nested(60), {"a": {"a": {"a": {}}}},
]  # fmt: skip
"""Values that a reader may not expect."""
INTEGERS = [0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]


def nest(rng: Random, content: Any) -> Any:
    """A copy of a nest of dicts, lists and plain values with one of them replaced, removed, repeated or renamed."""
    root = [copy.deepcopy(content)]
    places = list(_places(root))
    holder, key = rng.choice(places)
    other, name = rng.choice(places)
    change = rng.randrange(8)
    if change == 0 and holder is not root:
        del holder[key]
    elif change == 1:
        holder[key] = copy.deepcopy(other[name])
    elif change == 2 and isinstance(holder, dict):
        holder[rng.choice(["", "x", "__class__", "sha256", "schema", str(name), "\x1b[1m"])] = holder.pop(key)
    elif change == 3 and isinstance(holder, list):
        holder[:] = holder * rng.choice([0, 2, 50])
    elif change == 4 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * rng.choice([-1, 0, 2, 1000, 1e-9]) + rng.choice([-1, 0, 1])
    elif change == 5 and isinstance(holder[key], list):
        holder[key].append(rng.choice([*holder[key], *STRANGE]))
    elif change == 6 and isinstance(holder[key], dict):
        holder[key][rng.choice(["x", str(name)])] = copy.deepcopy(rng.choice(STRANGE))
    else:
        holder[key] = copy.deepcopy(rng.choice(STRANGE))
    return root[0] if root else None


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def raw(rng: Random, content: bytes) -> bytes:
    """Overwrite, remove, repeat or cut off bytes, without regard to the format."""
    if not content:
        return b"\0"
    start = rng.randrange(len(content))
    stop = min(len(content), start + rng.choice([1, 2, 4, 8, 64, 1024]))
    change = rng.randrange(6)
    if change == 0:
        return content[:start]
    if change == 1:
        return content[:start] + content[stop:]
    if change == 2:
        return content[:stop] + content[start:stop] * rng.choice([1, 2, 100]) + content[stop:]
    if change == 3:
        return content[:start] + bytes([content[start] ^ 1 << rng.randrange(8)]) + content[start + 1 :]
    if change == 4:
        return content[:start] + b"\0" * (stop - start) + content[stop:]
    written = rng.choice(INTEGERS).to_bytes(8, rng.choice(["little", "big"]))[: rng.choice([1, 2, 4, 8])]
    return content[:start] + written + content[start + len(written) :]


def as_json(rng: Random, content: bytes) -> bytes:
    """Change a JSON file; mostly without its checksum, which would refuse any change."""
    values = json.loads(content)
    if isinstance(values, dict) and rng.random() < 0.9:
        values.pop("sha256", None)
    return json.dumps(nest(rng, values)).encode()


def as_json_lines(rng: Random, content: bytes) -> bytes:
    """Change a file with a JSON object in every line."""
    lines = content.splitlines(keepends=True)
    index = rng.randrange(len(lines))
    lines[index] = json.dumps(nest(rng, json.loads(lines[index]))).encode() + rng.choice(
        [b"\n", b"\n", b"", b"\r", b"\0\n"]
    )
    return b"".join(lines)


_YAML_TOKENS = [
    "!!python/object/apply:os.mkdir [x]", "&a [*a]", "*a", "<<: {}", "? ", "- ", "\t", "{", "]", "!!binary x", "1:2:3",
    "2020-01-01", "0x_", "!!timestamp x", "|\n", "%YAML 9.9\n", "---\n", "...\n", ".inf", "!!int x", "!!float x", "'",
]  # fmt: skip
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_YAML_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml's, where it is installed: ten times as fast."""


def as_yaml(rng: Random, content: bytes) -> bytes:
    """Change a YAML file: its values, or its text."""
    values = yaml.load(content, _YAML_LOADER)  # noqa: S506  # one of the two safe ones
    if not isinstance(values, dict) or rng.random() < 0.3:
        text = content.decode(errors="replace")
        place = rng.randrange(len(text) + 1)
        return (text[:place] + rng.choice(_YAML_TOKENS) + text[place:]).encode()
    values.pop("sha256", None)
    text = yaml.dump(nest(rng, values), None, _YAML_DUMPER, sort_keys=False, allow_unicode=rng.random() < 0.5)
    return text.encode(errors="replace")


def as_csv(rng: Random, content: bytes) -> bytes:
    """Change a table of numbers in text."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    changed = nest(rng, rows)
    if not isinstance(changed, list):
        return str(changed).encode(errors="replace")
    lines = [",".join(map(str, row)) if isinstance(row, list) else str(row) for row in changed]
    return "\n".join(lines).encode(errors="replace")


_ELEMENTS = [
    "<include file='/etc/passwd'/>", "<replicate count='100000000' offset='1 0 0'><geom size='1'/></replicate>",
    "<mesh file='/dev/zero'/>", "<texture name='t' type='2d' builtin='flat' width='100000' height='100000'/>",
    "<size memory='900G'/>", "<size nkey='2000000000'/>", "<plugin plugin='x'/>", "<body><freejoint/></body>",
    "<frame><frame><frame/></frame></frame>", "<keyframe><key qpos='1'/></keyframe>", "<texture file='/dev/zero'/>",
    "<hfield name='h' nrow='50000' ncol='50000' size='1 1 1 1'/>",
    "<custom><numeric name='n' size='500000000'/></custom>", "<statistic extent='0'/>",
    "<composite type='cable' count='100000 1 1' size='1'/>", "<option timestep='0'/>",
]  # fmt: skip


def as_mjcf(rng: Random, content: bytes) -> bytes:
    """Change a model file of MuJoCo: attributes and elements."""
    root = ElementTree.fromstring(content)
    elements = list(root.iter())
    element, other = rng.choice(elements), rng.choice(elements)
    change = rng.randrange(5)
    if change == 0 and element.attrib:
        element.set(rng.choice(list(element.attrib)), _as_attribute(rng))
    elif change == 1 and element.attrib:
        del element.attrib[rng.choice(list(element.attrib))]
    elif change == 2 and len(element):
        element.remove(rng.choice(list(element)))
    elif change == 3 and element not in other.iter():
        other.extend([copy.deepcopy(element)] * rng.choice([1, 2, 50]))
    else:
        element.append(ElementTree.fromstring(rng.choice(_ELEMENTS)))
    return ElementTree.tostring(root)


def _as_attribute(rng: Random) -> str:
    strange = [str(value) for value in STRANGE if isinstance(value, int | float | str) and str(value).isprintable()]
    return rng.choice([*strange, "0 0 0", "nan nan nan", "1e10 1e10 1e10", "-1 -1 -1", " ".join(["1"] * 1000)])
