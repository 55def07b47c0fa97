"""What clients may ask for."""

from __future__ import annotations

import pytest

from knerve.server.pipelines import Choice, choice_of_name, choice_of_parameters, choice_of_text


@pytest.mark.parametrize("name", ["cs", "CS", " cs ", "cs.xml", "Cs.JSON"])
def test_one_pipeline_has_many_spellings(name: str) -> None:
    assert choice_of_name(name) == Choice("cs")


def test_unknown_names_take_the_default_and_say_so() -> None:
    choice = choice_of_name("x" * 200)
    assert choice.pipeline == "default"
    assert choice.note.startswith(f"There is no config '{'x' * 40}'...; known are default, cs, sense, dl, zero-filled.")
    assert "\\x1b" in choice_of_name("\x1b[31mred").note


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "null", "{", "[" * 100_000, '{"parameters": 3}', '{"parameters": {"config": 3}}', '{"config": "cs"}'],
)
def test_other_json_asks_for_nothing(text: str) -> None:
    assert choice_of_parameters(text) is None
    assert choice_of_text(text).pipeline == "default"


def test_the_custom_config_comes_first() -> None:
    assert choice_of_parameters('{"parameters": {"config": "cs", "customconfig": "sense"}}') == Choice("sense")
    assert choice_of_parameters('{"parameters": {"config": "cs", "customconfig": ""}}') == Choice("cs")
    assert choice_of_text('{"parameters": {"config": "\\ud800"}}').pipeline == "default"
