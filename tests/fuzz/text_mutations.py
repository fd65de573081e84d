"""Odd JSON, YAML and CSV: values of other kinds, keys twice, trees a thousand deep, other encodings."""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import yaml
from byte_mutations import damaged

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e-300, 1e30, -1e30, 1e308, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**32, 2**63, -(2**63) - 1, 10**400),
    *("", " ", "nan", "-1", "0", "1e999", "null", "x" * 5000, "ä", "Müller", "\u202e", "a\nb", "a\tb", "\x07", "💥"),
    *(
        "/",
        ".",
        "..",
        "../..",
        "/etc/passwd",
        "~",
        "con",
        "a" * 300 + ".nii.gz",
        "2026-02-30",
        "!!python/name:os.system",
    ),
    *([], {}, [None], [[]], {"": ""}, [0] * 1000, {"a": {"a": {"a": 1}}}),
)
DEPTH = 100_000


def mutated_json(content: bytes, random: Random) -> tuple[str, bytes]:
    """A JSON file changed in its tree or in its text."""
    return _document(content, random, read=json.loads, write=_json, deep=_deep_json, odd=_ODD_JSON)


def mutated_yaml(content: bytes, random: Random) -> tuple[str, bytes]:
    """A YAML file changed in its tree or in its text."""
    return _document(content, random, read=_read_yaml, write=_yaml, deep=_deep_yaml, odd=_ODD_YAML)


def _document(
    content: bytes,
    random: Random,
    *,
    read: Callable[[bytes], Any],
    write: Callable[[Any], bytes],
    deep: Callable[[Random], bytes],
    odd: dict[str, Callable[[bytes], bytes]],
) -> tuple[str, bytes]:
    draw = random.random()
    if draw < 0.6:
        tree = read(content)
        what = mutate_tree(tree, random)
        return what, write(tree)
    if draw < 0.7:
        return "deep", deep(random)
    if draw < 0.85:
        name = random.choice(list(odd))
        return name, odd[name](content)
    if draw < 0.9:
        return other_encoding(content, random)
    return damaged(content, random)


def mutate_tree(tree: Any, random: Random) -> str:
    """Change one place of a tree of dictionaries and lists; says where and how."""
    places = _places(tree)
    if not places:
        return "nothing"
    parent, key, path = random.choice(places)
    how = random.choice(("odd", "odd", "odd", "near", "gone", "added", "wrapped", "renamed"))
    if how == "odd":
        parent[key] = deepcopy(random.choice(ODD_VALUES))
        return f"{path} = {parent[key]!r}"[:120]
    if how == "near" and isinstance(parent[key], int | float):
        parent[key] = random.choice((parent[key] + 1, -parent[key], parent[key] * 1.5, str(parent[key])))
        return f"{path} = {parent[key]!r}"
    if how == "gone":
        del parent[key]
    elif how == "added" and isinstance(parent, dict):
        parent[f"{key}s"] = parent[key]
    elif how == "renamed" and isinstance(parent, dict):
        parent[str(key).upper()] = parent.pop(key)
    else:
        parent[key] = [parent[key]]
    return f"{path} {how}"


def _places(tree: Any, path: str = "") -> list[tuple[Any, Any, str]]:
    pairs = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    found = []
    for key, value in pairs:
        found.append((tree, key, f"{path}.{key}"))
        found += _places(value, f"{path}.{key}")
    return found


def other_encoding(content: bytes, random: Random) -> tuple[str, bytes]:
    """The same text, or text that is no UTF-8 any more."""
    text = content.decode()
    name = random.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "nul"))
    if name == "nul":
        return name, text.encode().replace(b"a", b"\0", 1)
    if name in ("latin-1", "cp1252"):
        return name, text.replace("a", "ä", 1).encode(name, errors="replace")
    return name, text.encode(name)


def _json(tree: Any) -> bytes:
    return json.dumps(tree, indent=1).encode()


def _read_yaml(content: bytes) -> Any:
    return yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _yaml(tree: Any) -> bytes:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(tree, Dumper=dumper, sort_keys=False, allow_unicode=True).encode()


def _deep_json(random: Random) -> bytes:
    opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
    depth = random.choice((500, 1100, DEPTH))
    return (opening * depth + "1" + closing * depth).encode()


def _deep_yaml(random: Random) -> bytes:
    # A pure-Python parser takes a second for a depth of ten thousand.
    depth = random.choice((200, 1100, 3000))
    if random.random() < 0.5:
        return b"a: " + b"[" * depth + b"1" + b"]" * depth
    return b"".join(b" " * n + b"a:\n" for n in range(min(depth, 1100)))


def _alias_bomb(content: bytes) -> bytes:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines).encode() + b"\n" + content


def _twice(content: bytes) -> bytes:
    first = content.split(b"\n", 1)[0]
    return first + b"\n" + content


_LONG = b"9" * 5000
_ODD_JSON: dict[str, Callable[[bytes], bytes]] = {
    "very long number": lambda content: content.replace(b"1", _LONG, 1),
    "1e999": lambda content: content.replace(b"1", b"1e999", 1),
    "NaN": lambda content: content.replace(b"1", b"NaN", 1),
    "comma too many": lambda content: content.replace(b"}", b",}", 1),
    "key twice": lambda content: content.replace(b"{", b'{"name": 1, "name": 2,', 1),
    "comment": lambda content: b"// a comment\n" + content,
    "list around": lambda content: b"[" + content + b"]",
    "two documents": lambda content: content + content,
    "lone surrogate": lambda content: content.replace(b'"', b'"\\ud800', 1),
    "page of HTML": lambda _: b"<!DOCTYPE html><html><body>Sign in</body></html>",
}
_ODD_YAML: dict[str, Callable[[bytes], bytes]] = {
    "alias bomb": _alias_bomb,
    "very long number": lambda content: content.replace(b"1", _LONG, 1),
    "tab": lambda content: content.replace(b": ", b":\t\t", 1) + b"\tx: 1\n",
    "merge of a list": lambda content: b"<<: [1, 2]\n" + content,
    "merge of itself": lambda content: b"x: &x\n  <<: *x\n" + content,
    "anchor in itself": lambda content: b"x: &x [*x]\n" + content,
    "key twice": _twice,
    "impossible date": lambda content: content.replace(b": ", b": 2026-02-30\nx: ", 1),
    "sexagesimal": lambda content: content.replace(b": 1", b": 1:20:30", 1),
    "python object": lambda content: b"x: !!python/object/apply:os.getcwd []\n" + content,
    "binary": lambda content: b"x: !!binary |\n  ////\n" + content,
    "set as key": lambda content: b"? [1, 2]\n: 3\n" + content,
    "two documents": lambda content: content + b"\n---\n" + content,
    "only a comment": lambda _: b"# nothing\n",
    "directive": lambda content: b"%YAML 9.9\n---\n" + content,
    "page of HTML": lambda _: b"<!DOCTYPE html><html><body>Sign in</body></html>",
}
