"""The one way in which YAML is read: as safe as `pancascade.files.documents` reads JSON.

Beyond what PyYAML's safe loader refuses: a key that is written twice, which would silently lose its first value;
aliases that repeat one another until nothing can hold them; and dates, which stay the text that they are.
"""

from pathlib import Path
from typing import Any

import yaml

from pancascade.files.documents import MOST_DEPTH, MOST_DIGITS, DocumentError, read_at_most, require_plain, shortened

_MOST_BYTES = 1_000_000
_MOST_VALUES = 100_000
_DATE = "tag:yaml.org,2002:timestamp"


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Args:
        path: In UTF-8, or UTF-16 with byte order mark.

    Raises:
        OSError: The file cannot be opened; `pancascade.files.documents.reason` words it.
        DocumentError: It is no YAML, or larger, deeper or longer than any that we know.
    """
    return parse_yaml(read_at_most(path, _MOST_BYTES))


def parse_yaml(text: str | bytes) -> Any:
    """The value of a YAML text.

    Raises:
        DocumentError: It is no YAML, nested too deeply, refers to itself or repeats itself without end, has a number of
            too many digits or a key twice in one mapping.
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
        raise DocumentError("it holds characters that no text has") from error
    except (UnicodeDecodeError, RecursionError, ArithmeticError, LookupError, AttributeError) as error:
        raise DocumentError(f"no YAML ({type(error).__name__})") from error
    require_plain(value)
    return value


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which looks at the whole before it makes anything of it."""

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
    """Values in a node with every alias written out. Nodes are as deep as they were composed, so this can recurse."""
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
    if len(node.value) > MOST_DIGITS + 4:  # a sign and 0x; more digits than 64 bits hold
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
