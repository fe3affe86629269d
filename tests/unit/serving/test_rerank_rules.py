import json
from pathlib import Path

import pytest
from rerank_candidates import candidates, ids, slate

from serving.filters.which import RulesRefused
from serving.rerank.policy import RerankPolicy
from serving.rerank.rules import Rules
from serving.rerank.rules_file import MAX_BYTES, parse_rules, read_rules

EXAMPLE = """
diversity: {method: dpp, relevance: 0.8}
caps:
  - {name: two of a brand, attribute: brand, at_most: 2}
pins:
  - name: friday launch
    item: 17  # an id, not a number
    place: 1
    when: {zone: Europe/Berlin, weekdays: [fri], from: 12:00, until: 23:30}
boosts:
  - {name: local, attribute: brand, values: [acme, 33], by: 0.2}
exclusions:
  - {name: recalled, ids: [4, 5]}
exposure:
  - {name: long tail, popularity_at_most: 20, at_least: 0.2}
exploration: {method: thompson, rate: 0.1, places: [4, 8], newer_than_days: 14}
filters:
  unavailable: [{name: sold out, attribute: status, values: [sold out]}]
  age_limits: [{name: adults, attribute: minimum_age}]
  regions: [{name: licence, attribute: countries, context: country}]
"""


def refusal(text: str) -> str:
    with pytest.raises(RulesRefused) as refused:
        parse_rules(text.encode())
    return str(refused.value)


def test_a_file_states_every_kind_of_rule_and_plain_numbers_are_ids_or_times_where_those_belong() -> None:
    rules = parse_rules(EXAMPLE.encode())

    assert (rules.pins[0].item, rules.exclusions[0].ids, rules.boosts[0].values) == ("17", ("4", "5"), ("acme", "33"))
    assert rules.pins[0].when is not None
    assert (rules.pins[0].when.start, rules.pins[0].when.until) == (12 * 60, 23 * 60 + 30)
    assert (rules.diversity.relevance, rules.exploration.places) == (0.8, (4, 8))
    assert rules.filters.regions[0].means == "only"
    assert len(list(rules.named())) == 8


def test_json_is_read_as_yaml_is() -> None:
    stated = {"caps": [{"name": "brand", "attribute": "brand", "at_most": 2}]}

    assert parse_rules(json.dumps(stated).encode()) == Rules.model_validate(stated)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}"])
def test_an_empty_file_changes_nothing(text: str) -> None:
    policy = RerankPolicy(parse_rules(text.encode()))

    assert policy.changes_nothing
    assert ids(slate(candidates([1.0, 2.0]), policy)) == ["i1", "i0"]


def test_a_policy_says_which_columns_and_items_it_needs() -> None:
    policy = RerankPolicy(parse_rules(EXAMPLE.encode()))

    assert policy.attributes == ("brand",)
    assert policy.needs_embeddings
    assert not policy.changes_nothing


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "caps: [{name: brand, attribute: brand, at_most: 0}]",
            "rules file, rule 'brand', caps.0.at_most: input should be greater than or equal to 1; got '0'",
        ),
        (
            "caps: [{name: brand, attribute: brand, at_most: 2, mst: 3}]",
            "rules file, rule 'brand', caps.0.mst: extra inputs are not permitted; got '3'",
        ),
        (
            "pins: [{name: p, item: i1, place: 1, when: {zone: Mars/Olympus}}]",
            "rules file, rule 'p', pins.0.when.zone: a zone must be a name of the IANA database, as in Europe/Berlin; "
            "got 'Mars/Olympus'",
        ),
        (
            "pins: [{name: p, item: i1, place: 1, when: {zone: UTC, from: 25:00}}]",
            "rules file, rule 'p', pins.0.when.from: a time of day must read hours:minutes, from 00:00 to 24:00; "
            "got '25:00'",
        ),
        (
            "pins: [{name: p, item: i1, place: 1, when: {zone: UTC, from: noon}}]",
            "rules file, rule 'p', pins.0.when.from: a time of day must read hours:minutes, from 00:00 to 24:00; "
            "got 'noon'",
        ),
        (
            "pins: [{name: p, item: i1, place: 1, when: {zone: UTC, from: '09:00', until: '09:00'}}]",
            "rules file, rule 'p', pins.0.when: a window must not start and end at the same minute; got {'zone': "
            "'UTC', 'from': '09:00', 'until': '09:00'}",
        ),
        (
            "pins: [{name: p, item: i, place: 1, when: {zone: UTC, first_day: 2024-02-01, last_day: 2024-01-01}}]",
            "rules file, rule 'p', pins.0.when: first_day must not be after last_day; got {'zone': 'UTC', 'first_day': "
            "'2024-02-01', 'last_day': '2024-01-01'}",
        ),
        (
            "boosts: [{name: b, by: 1}]",
            "rules file, rule 'b', boosts.0: a rule must say which items it is about; got {'name': 'b', 'by': '1'}",
        ),
        (
            "boosts: [{name: b, by: 1, attribute: brand}]",
            "rules file, rule 'b', boosts.0: attribute and values must come together; got {'name': 'b', 'by': '1', "
            "'attribute': 'brand'}",
        ),
        (
            "boosts: [{name: b, by: nan, ids: [i1]}]",
            "rules file, rule 'b', boosts.0.by: input should be a finite number; got 'nan'",
        ),
        (
            "exploration: {method: ucb, places: [3, 3]}",
            "rules file, exploration: places must be different whole numbers from 1 to 100; got {'method': 'ucb', "
            "'places': ['3', '3']}",
        ),
        (
            "exploration: {method: greedy}",
            "rules file, exploration.method: input should be 'none', 'epsilon-greedy', 'ucb' or 'thompson'; got "
            "'greedy'",
        ),
        (
            "caps: [{name: x, attribute: a, at_most: 1}]\nexclusions: [{name: x, ids: [i1]}]",
            "rules file: each rule must have a name of its own, and 'x' comes twice; got the fields caps, exclusions",
        ),
        (
            "pins: [{name: x, item: i1, place: 2}, {name: y, item: i2, place: 2}]",
            "rules file: a place must not have two pins that always hold; got the fields pins",
        ),
        ("caps: []\ncaps: []", "the rules file must state each field once; got 'caps' in line 2"),
        ("- a\n- b", "the rules file must hold fields like caps or pins; got ['a', 'b']"),
        ("cops: []", "rules file, cops: extra inputs are not permitted; got []"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule_and_what_arrived(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


def test_several_refusals_name_the_first_and_count_the_rest() -> None:
    assert refusal("caps: [{name: a}]").endswith("(and 1 more)")


@pytest.mark.parametrize("text", ["caps: [", "caps: !!python/object:os.system {}", "\x00", "[" * 900])
def test_what_is_no_yaml_is_refused_in_one_line(text: str) -> None:
    sentence = refusal(text)

    assert sentence.startswith(("the rules file must be YAML or JSON in UTF-8; got ", "rules file, caps: "))
    assert "\n" not in sentence


def test_a_file_of_bytes_that_are_no_text_or_of_too_many_is_refused() -> None:
    with pytest.raises(RulesRefused, match=r"must be YAML or JSON in UTF-8; got 'utf-8' codec"):
        parse_rules(b"\xff\xfe")
    with pytest.raises(RulesRefused, match=f"at most {MAX_BYTES} bytes; got {MAX_BYTES + 1}"):
        parse_rules(b" " * (MAX_BYTES + 1))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesRefused, match=r"must be readable; rules.yaml is not \(No such file or directory\)"):
        read_rules(tmp_path / "rules.yaml")
