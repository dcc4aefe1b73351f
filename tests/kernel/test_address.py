"""Addresses, node names, paths and their text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import actorkit as ak
from actorkit.kernel.address import checked_segment, child_path, valid_node_name

node_names = st.from_regex(r"[A-Za-z0-9_-]{1,64}(@[A-Za-z0-9_.:\[\]-]{1,190})?", fullmatch=True)
addresses = st.builds(ak.Address, node_names, st.integers(0, 2**64), st.integers(0, 10**12))


@given(addresses)
def test_an_address_survives_its_text(address: ak.Address) -> None:
    """Reading what ``str`` wrote gives the same address."""
    assert ak.Address.parse(str(address)) == address


@given(st.text() | st.builds(str, addresses).map(lambda text: text[:-1]))
def test_anything_else_is_refused(text: str) -> None:
    """What ``str`` of no address wrote is a ValueError that shows the text."""
    with pytest.raises(ValueError, match="not an actor address") as refused:
        ak.Address.parse(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "local#1.1",
        "<local#1.1",
        "<local#1.1>\n",
        "<#1.1>",
        "<local#.1>",
        "<local#g.1>",
        "<local#1.x>",
        "<local#1.-1>",
        "<local#1.1.1>",
        "<lo cal#1.1>",
        "<local@#1.1>",
        "<local#1.\u0661>",
        "<local#A.1>",
        "<" + "n" * 65 + "#1.1>",
    ],
)
def test_near_misses_are_refused(text: str) -> None:
    """What nearly is an address is none."""
    with pytest.raises(ValueError, match="not an actor address"):
        ak.Address.parse(text)


@given(addresses, addresses)
def test_addresses_are_compared_whole(one: ak.Address, other: ak.Address) -> None:
    """Two addresses are equal only if every part is, and then they hash alike and print alike."""
    assert (one == other) == (str(one) == str(other))
    assert one == ak.Address(one.node, one.incarnation, one.serial)
    assert hash(one) == hash(ak.Address(one.node, one.incarnation, one.serial))


@given(node_names)
def test_node_names_with_and_without_a_host(name: str) -> None:
    """A valid node name is one word of at most 64 characters, then perhaps a host."""
    assert valid_node_name(name)
    assert not valid_node_name(name + "\n")
    assert not valid_node_name(name + "#")


@pytest.mark.parametrize("name", ["", "@host", "a b", "a@", "é", "a#b", "a<b", "a/b"])
def test_wrong_node_names(name: str) -> None:
    """What could be mistaken in an address is no node name."""
    assert not valid_node_name(name)


@given(st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=1, max_size=5))
def test_paths_are_joined_with_one_slash(segments: list[str]) -> None:
    """From the top down, a path is its segments, each behind one slash."""
    path = "/"
    for segment in segments:
        path = child_path(path, segment)
    assert path == "".join(f"/{segment}" for segment in segments)


@given(st.text())
def test_a_segment_fits_into_a_path(name: str) -> None:
    """What may stand in a path has 1 to 200 printable characters and no slash; anything else is refused, shown."""
    if 1 <= len(name) <= 200 and "/" not in name and name.isprintable():
        assert checked_segment(name) == name
    else:
        with pytest.raises(ValueError, match="an actor's name") as refused:
            checked_segment(name)
        assert repr(name) in str(refused.value)


@pytest.mark.parametrize("name", [None, 3, b"name", ["name"]])
def test_a_segment_is_a_string(name: Any) -> None:
    """A name that is no string is refused."""
    with pytest.raises(ValueError, match="an actor's name has 1 to 200 characters"):
        checked_segment(name)
