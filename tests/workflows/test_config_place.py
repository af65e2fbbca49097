"""Where in a config an error happened."""

import pytest
from monai.bundle import ConfigParser

from scripts.workflows.config_place import config_place, failed_component


class Thing:
    """Fails when it is made with `bad`, or called with it."""

    def __init__(self, bad=False):
        if bad:
            raise ValueError("no such thing")

    def __call__(self, bad):
        if bad:
            raise KeyError("image")


NAME = f"{__name__}.Thing"


def place_of(config, key):
    parser = ConfigParser(config)
    parser.parse(True)
    with pytest.raises(Exception, match=r".") as caught:
        parser.get_parsed_content(key)
    return config_place(caught.value)


def test_the_keys_lead_from_what_was_asked_for_to_what_failed():
    broken = {"outer": {"inner": ["@thing"]}, "thing": "$1 / @count", "count": 0}
    place = place_of(broken, "outer")
    assert place.keys[0] == "outer"
    assert place.keys[-1] == "thing"
    assert place.is_in(("thing",))
    assert not place.is_in(("outer", "count"))
    assert place.told("division by zero") == "thing: division by zero (with count = 0)"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("thing: it cannot be", "thing: it cannot be (with rate = 0)"),  # the key is not said twice
        ("rate must be positive", "thing: rate must be positive"),  # nor the value where the message names it
        ("rates must be positive", "thing: rates must be positive (with rate = 0)"),
    ],
)
def test_values_are_told_where_the_message_names_none(message, expected):
    assert place_of({"thing": "$1 / @rate", "rate": 0}, "thing").told(message) == expected


def test_values_are_followed_through_other_keys_and_shortened():
    place = place_of({"thing": "$1 / len(@a)", "a": "$@b[:0]", "b": [7] * 100}, "thing")
    said = place.told("division by zero")
    assert said.startswith("thing: division by zero (with b = [7, 7, 7")
    assert said.endswith("...)")


def test_an_error_outside_of_a_config_has_no_place():
    assert config_place(ValueError("x")) is None


def test_the_component_that_was_at_work_is_found():
    parser = ConfigParser({"chain": {"_target_": "Compose", "transforms": [{"_target_": NAME}, {"_target_": NAME}]}})
    parser.parse(True)
    chain = parser.get_parsed_content("chain")
    with pytest.raises(Exception, match="image") as caught:
        chain.transforms[1](True)
    assert failed_component(caught.value, parser) == "chain#transforms#1"
    assert failed_component(ValueError("x"), parser) == ""
