import json
import tracemalloc
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from pancascade.files.documents import MOST_DEPTH, DocumentError, first_fault, parse_json, read_json, reason
from pancascade.files.yaml_documents import parse_yaml, read_yaml
from pancascade.settings import Settings

VALUE = {"name": "tiny", "list": [1, -2.5, None, True], "deep": {"a": {"b": "é"}}, "last": 9223372036854775807}

BAD_JSON = {
    "deep list": ("[" * 100_000, "nested more than 64 deep"),
    "deep object": ('{"a":' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
    "just too deep": ("[" * (MOST_DEPTH + 2) + "]" * (MOST_DEPTH + 2), "nested more than 64 deep"),
    "long number": ('{"seed": ' + "9" * 5000 + "}", "a number of 5000 digits"),
    "long negative number": ("[-" + "9" * 20 + "]", "a number of 21 digits"),
    "cut": ('{"a": [1, 2', "no JSON: Expecting ',' delimiter, line 1"),
    "nothing": ("", "no JSON: Expecting value, line 1"),
    "key twice": ('{"train": ["a"], "train": ["b"]}', "'train' is written twice in one object"),
    "half a character": ('{"name": "\\ud800"}', "an invalid character"),
    "half a character in a key": ('{"\\udfff": 1}', "an invalid character"),
    "zero in a text": ('["a\\u0000b"]', "an invalid character"),
    "latin-1": ('{"name": "Müller"}'.encode("latin-1"), "its text is not UTF-8"),
}

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name}\n  <<: [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)

BAD_YAML = {
    "deep list": ("name: " + "[" * 10_000, "nested more than 64 deep"),
    "deep closed list": ("[" * 66 + "]" * 66, "nested more than 64 deep"),
    "deep blocks": ("".join("  " * n + "a:\n" for n in range(200)), "nested more than 64 deep"),
    "deep by aliases": ("\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 90))]), "nested"),
    "alias bomb": (BOMB, "its aliases repeat one another too often"),
    "merge bomb": (MERGES, "its aliases repeat one another too often"),
    "refers to itself": ("a: &a [*a]", "a part of it refers to itself"),
    "long number": ("seed: " + "9" * 5000, "a number of 5000 digits, line 1"),
    "long base 60": ("seed: 1" + ":59" * 3000, "a number of 9001 digits, line 1"),
    "long base 60 fraction": ("seed: 1" + ":59" * 3000 + ".5", "a number of 9003 digits, line 1"),
    "tab": ("a:\n\tb: 1", "found character '\\t' that cannot start any token, line 2"),
    "cut": ("a: 1\nopti", "could not find expected ':', line 2"),
    "merge of a number": (
        "a: 1\n<<: 3",
        "expected a mapping or list of mappings for merging, but found scalar, line 2",
    ),
    "key twice": ("a: 1\nb: 2\na: 3", "'a' is written twice in one mapping, line 1 on"),
    "object": ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor for the tag"),
    "bad base64": ("a: !!binary 'é'", "line 1"),
    "zero": ("a: 'b\0'", "invalid characters"),
    "escaped zero": ('a: "b\\0"', "an invalid character"),
    "latin-1": ("a: Müller".encode("latin-1"), "invalid characters"),
    "unhashable key": ("{[1]: 2}", "found unhashable key, line 1"),
    "two documents": ("a: 1\n---\nb: 2", "but found another document"),
}


@pytest.mark.parametrize("encode", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_every_encoding_that_json_has(tmp_path, encode):
    (tmp_path / "x.json").write_bytes(json.dumps(VALUE, ensure_ascii=False).encode(encode))
    assert read_json(tmp_path / "x.json") == VALUE


def test_yaml_is_read_as_json_would_be(tmp_path):
    (tmp_path / "x.yaml").write_text(json.dumps(VALUE, ensure_ascii=False), encoding="utf-8")
    assert read_yaml(tmp_path / "x.yaml") == VALUE


def test_anchors_and_merges_of_a_usual_size_work():
    text = "base: &base {a: 1, b: 2}\nmore:\n  <<: *base\n  b: 3\nagain: [*base, *base]"
    both = {"a": 1, "b": 2}
    assert parse_yaml(text) == {"base": both, "more": {"a": 1, "b": 3}, "again": [both, both]}


@pytest.mark.parametrize("text", ["2024-13-45", "2024-02-30", "2024-01-01", "2001-12-14t21:59:43.10-99:00"])
def test_dates_stay_text_whether_they_exist_or_not(text):
    assert parse_yaml(f"name: {text}") == {"name": text}


def test_the_deepest_that_is_allowed_is_read():
    text = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(text) == parse_yaml(text)


@pytest.mark.parametrize(("text", "says"), BAD_JSON.values(), ids=BAD_JSON.keys())
def test_json_that_cannot_be_used_is_one_short_reason(text, says):
    with pytest.raises(DocumentError) as refused:
        parse_json(text)
    require_short(str(refused.value), says)


@pytest.mark.parametrize(("text", "says"), BAD_YAML.values(), ids=BAD_YAML.keys())
def test_yaml_that_cannot_be_used_is_one_short_reason_and_takes_little_memory(text, says):
    tracemalloc.start()
    with pytest.raises(DocumentError) as refused:
        parse_yaml(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    require_short(str(refused.value), says)
    assert peak < 30e6


def require_short(message, says):
    assert says in message
    assert "\n" not in message
    assert len(message) <= 120


def test_a_file_larger_than_any_of_ours_is_refused_unread(tmp_path):
    with (tmp_path / "x.yaml").open("wb") as file:
        file.truncate(1_000_001)
    with pytest.raises(DocumentError, match="larger than 1 MB"):
        read_yaml(tmp_path / "x.yaml")


def test_the_reason_of_a_system_s_error_names_no_folder(tmp_path):
    with pytest.raises(OSError, match="No such file") as refused:
        read_json(tmp_path / "secret" / "x.json")
    assert reason(refused.value) == "no such file or directory"
    assert reason(KeyError("train")) == "no 'train'"


class Inner(Settings):
    size: int = Field(gt=0)


class Outer(Settings):
    inner: Inner
    names: dict[str, int] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"inner": {"size": 0}}, "inner.size: should be greater than 0 (got 0)"),
        ({"inner": {"size": "x" * 900}}, "inner.size: should be a valid integer"),
        ({}, "inner: is missing"),
        ({"inner": {"size": 1}, "other": 2}, "other: no such key"),
        ({"inner": {"size": 1}, "names": {"k" * 900: "x"}}, "names.kkk"),
    ],
    ids=str,
)
def test_the_first_fault_of_settings_is_one_short_phrase(content, says):
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate(content)
    message = first_fault(refused.value)
    assert message.startswith(says)
    assert len(message) <= 180
    assert "\n" not in message
    assert "pydantic" not in message


def test_nothing_else_of_the_package_reads_json_or_yaml():
    package = Path(__file__).parents[2] / "src" / "pancascade"
    own = {"documents.py", "yaml_documents.py"}
    words = ("json.load", "yaml.load", "safe_load", "yaml.parse", "model_validate_json")
    guilty = {
        f"{path.name}: {word}"
        for path in package.rglob("*.py")
        if path.name not in own
        for word in words
        if word in path.read_text(encoding="utf-8")
    }
    assert guilty == set()
