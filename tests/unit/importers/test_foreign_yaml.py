"""YAML as words with lines: what is in use is read, what is hostile is refused."""

from __future__ import annotations

import time
import tracemalloc

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from camera_registry.importers.foreign import yaml_file
from camera_registry.importers.foreign.yaml_file import Node, parse
from camera_registry.importers.rows import FileRefused


def plain(node: Node) -> object:
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def test_every_scalar_is_the_word_that_is_written_and_knows_its_line() -> None:
    root = parse("a: 01\nb:\n  no: yes\n  'null': \"null\"\nc: [~, 1.0, '']\n")
    assert plain(root) == {"a": "01", "b": {"no": "yes", "null": "null"}, "c": [None, "1.0", ""]}
    assert root.at("b", "no").line == 3
    assert root.at("b", "no").switch() is True
    assert root.at("b", "absent", "deeper").value is None


def test_aliases_and_merge_keys_are_read_and_what_is_written_beside_wins() -> None:
    root = parse(
        "base: &base {x: 1, y: 2}\nother: &other {y: 3, z: 4}\n"
        "one: {<<: *base, x: 9}\ntwo: {<<: [*base, *other]}\nlist: [*base]\n"
    )
    assert plain(root.at("one")) == {"x": "9", "y": "2"}
    assert plain(root.at("two")) == {"x": "1", "y": "2", "z": "4"}
    assert plain(root.at("list")) == [{"x": "1", "y": "2"}]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "not_yaml"),
        ("a:\tb\n\t- c", "not_yaml"),
        ("a: \x00", "not_yaml"),
        ("a: *nothing", "yaml_alias"),
        ("a: &a [*a]", "yaml_alias"),
        ("? [1]\n: 2", "yaml_key"),
        ("a: 1\na: 2", "yaml_key_twice"),
        ("[" * 40, "yaml_too_deep"),
        ("- " * 100, "yaml_too_deep"),
    ],
)
def test_a_broken_file_is_refused_with_a_sentence(text: str, code: str) -> None:
    with pytest.raises(FileRefused) as caught:
        parse(text)
    assert caught.value.code == code
    assert str(caught.value).endswith(".")


def bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    for n in range(1, levels):
        lines.append(f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * width) + "]")
    return "\n".join(lines)


def test_a_billion_laughs_cost_nothing() -> None:
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(FileRefused) as caught:
        parse(bomb(12, 10))
    took_s = time.process_time() - began
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"billion laughs: {took_s * 1000:.0f} ms, {peak_bytes / 1024:.0f} KiB")
    assert caught.value.code == "yaml_too_much"
    assert peak_bytes < 4 << 20


def test_merging_much_often_counts_too() -> None:
    base = "base: &b {" + ", ".join(f"k{n}: v" for n in range(2000)) + "}\n"
    with pytest.raises(FileRefused) as caught:
        parse(base + "".join(f"m{n}: {{<<: *b}}\n" for n in range(600)))
    assert caught.value.code == "yaml_too_much"


WORD = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_characters="\x7f\x85"))
TREE = st.recursive(
    WORD | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORD, inner, max_size=4),
    max_leaves=20,
)


@given(TREE)
def test_what_another_program_writes_is_read_back(tree: object) -> None:
    text = yaml.safe_dump(tree, default_style='"' if isinstance(tree, str) else None)

    def words(value: object) -> object:
        if isinstance(value, dict):
            return {k: words(v) for k, v in value.items()}
        return [words(v) for v in value] if isinstance(value, list) else value

    if "<<" not in text:
        assert plain(parse(text)) == words(tree)


@given(st.text(st.sampled_from("ab &*<:-[]{},!|>'\"\n\t#?%@`~1"), max_size=200))
def test_any_text_is_a_tree_or_a_refusal(text: str) -> None:
    try:
        root = parse(text)
    except FileRefused:
        return
    assert 1 <= root.line <= text.count("\n") + 1


def test_the_parser_in_use_is_the_fast_one_where_it_is_built() -> None:
    assert not yaml.__with_libyaml__ or yaml_file._LOADER is yaml.CSafeLoader
