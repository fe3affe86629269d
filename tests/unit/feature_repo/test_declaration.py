from pathlib import Path
from typing import Any

import pytest
import yaml

from feature_repo.core.errors import DatasetError
from feature_repo.dataset.declaration import load_dataset, parse_dataset

PATH = Path("shop/dataset.yaml")
SHOP: dict[str, Any] = {
    "name": "shop",
    "events": {
        "path": "events.csv",
        "columns": {"user_id": "household", "item_id": "product", "timestamp": "at"},
        "event_type": "purchase",
    },
    "items": {"path": "items.csv", "key": "product", "categorical": ["brand"]},
    "weights": {"purchase": 1},
}


def with_change(path: str, value: object) -> str:
    declared = yaml.safe_load(yaml.safe_dump(SHOP))
    *parents, last = path.split(".")
    at = declared
    for name in parents:
        at = at[name]
    at[last] = value
    return yaml.safe_dump(declared)


def test_a_declaration_keeps_what_it_says() -> None:
    dataset = parse_dataset(yaml.safe_dump(SHOP), PATH)

    assert dataset.events.columns["user_id"] == "household"
    assert dataset.items is not None
    assert dataset.items.attributes == ("brand",)
    assert dataset.repeat_consumption


@pytest.mark.parametrize(
    ("change", "value", "sentence"),
    [
        ("colour", "red", "colour is not a known key (got 'red')"),
        ("events.delimiter", ";", "events.delimiter is not a known key"),
        ("events.columns", {"user_id": "u", "item_id": "i"}, "timestamp is missing"),
        ("events.columns.price", "p", "got 'price'"),
        ("events.event_type", None, "either event_type (a constant) or columns.event_type"),
        ("weights", {}, "weights"),
        ("weights", {"purchase": "much"}, "weights.purchase"),
        ("name", "My Shop", "name"),
        ("items.categorical", ["brand", "brand"], "'brand' is declared twice"),
        ("items.categorical", ["the brand"], "got 'the brand'"),
        ("items.categorical", ["brand", "Brand"], "'Brand' is declared twice"),
        ("items.categorical", ["item_id"], "'item_id' is a column of every table"),
        ("users", {"path": "u.csv", "key": "u", "categorical": ["Brand"]}, "'Brand' is there twice"),
        ("events.context", ["brand"], "'brand' is there twice"),
        ("items.columns", {"price": "cost"}, "'price' is not declared"),
        ("items", {"path": "items.csv"}, "items.key is required and missing"),
        ("events.context", ["value"], "context names columns that no other column is called; got 'value'"),
        ("events.context", ["score"], "got 'score'"),
        ("events.context", ["shop", "shop"], "got 'shop'"),
        ("cleaning", {"bots": 1}, "cleaning.bots is not a known key"),
        ("cleaning", {"moments_a_minute": 0}, "cleaning.moments_a_minute"),
        ("cleaning", {"catalogue_share": 1.5}, "cleaning.catalogue_share"),
        ("cleaning", {"id_characters": None}, "cleaning.id_characters"),
        ("cleaning", {"value_to": 1e13}, "cleaning.value_to"),
        ("cleaning", {"value_from": 2, "value_to": 1}, "value_from must not be above value_to; got 2 and 1"),
    ],
)
def test_a_broken_rule_is_one_sentence_that_names_file_rule_and_value(
    change: str, value: object, sentence: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        parse_dataset(with_change(change, value), PATH)

    assert str(caught.value).startswith("shop/dataset.yaml: ")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "", "just words", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(DatasetError, match=r"^shop/dataset\.yaml: expected "):
        parse_dataset(text, PATH)


def test_limits_of_cleaning_have_defaults_and_null_switches_a_rule_off() -> None:
    limits = parse_dataset(with_change("cleaning", {"session_hours": None, "value_from": None}), PATH).cleaning

    assert (limits.session_hours, limits.moments_a_minute, limits.user_events) == (None, 300, None)
    assert limits.value_range == (-1e12, 1e9)


def test_an_unknown_data_set_is_told_which_ones_there_are() -> None:
    with pytest.raises(DatasetError, match=r"movielens-100k.*got 'movielens'"):
        load_dataset("movielens")


def test_the_built_in_data_set_is_valid() -> None:
    dataset = load_dataset("movielens-100k")

    assert dataset.source is not None
    assert not dataset.repeat_consumption
