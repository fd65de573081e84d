"""Safe reading of YAML, as `pancascade.files.documents` for JSON.

In addition to PyYAML's safe loader, it refuses repeated keys, whose first value would be lost silently, and aliases
that expand without limit. Dates stay text.
"""

from pathlib import Path
from typing import Any

import yaml

from pancascade.files.documents import MOST_DEPTH, MOST_DIGITS, DocumentError, read_at_most, require_plain, shortened

_MOST_BYTES = 1_000_000
_MOST_VALUES = 100_000
_DATE = "tag:yaml.org,2002:timestamp"


def read_yaml(path: Path) -> Any:
    """Read the value of a YAML file.

    Args:
        path: File in UTF-8, or UTF-16 with byte order mark.

    Raises:
        OSError: The file cannot be opened; `pancascade.files.documents.reason` gives the text.
        DocumentError: The file is no YAML, or too large, too deeply nested, or has too long numbers.
    """
    return parse_yaml(read_at_most(path, _MOST_BYTES))


def parse_yaml(text: str | bytes) -> Any:
    """Parse a YAML text.

    Raises:
        DocumentError: The text is no YAML, is nested too deeply, refers to itself or expands without limit, has a
            number of too many digits, or a repeated key in one mapping.
    """
    try:
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f", line {mark.line + 1}"
        raise DocumentError(f"{shortened(error.problem or error.context or 'no YAML', 80)}{place}") from error
    except yaml.YAMLError as error:
        raise DocumentError("it has invalid characters") from error
    except (UnicodeDecodeError, RecursionError, ArithmeticError, LookupError, AttributeError) as error:
        raise DocumentError(f"no YAML ({type(error).__name__})") from error
    require_plain(value)
    return value


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with a check of the whole document before any value is built."""

    _depth = 0

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_VALUES:
            raise DocumentError("its aliases repeat one another too often")
        return self.construct_document(node)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self._depth > MOST_DEPTH:
            raise DocumentError(f"nested more than {MOST_DEPTH} deep")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen and name != "<<":
                line = node.start_mark.line + 1
                raise DocumentError(f"{shortened(repr(name), 40)} is written twice in one mapping, line {line} on")
            if name is not None:
                seen.add(name)
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values in a node with expanded aliases. The depth of nodes is limited, so recursion is safe."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise DocumentError("a part of it refers to itself")
        return known[id(node)]
    known[id(node)] = 0
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        inner = [one for pair in node.value for one in pair]
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    known[id(node)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(node)]


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    if len(node.value) > MOST_DIGITS + 4:  # a sign and 0x, then more digits than 64 bits hold
        raise DocumentError(f"a number of {len(node.value)} digits, line {node.start_mark.line + 1}")
    return loader.construct_yaml_int(node)


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    if len(node.value) > _LONGEST_NUMBER:
        raise DocumentError(f"a number of {len(node.value)} digits, line {node.start_mark.line + 1}")
    return loader.construct_yaml_float(node)


_LONGEST_NUMBER = 64

_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
