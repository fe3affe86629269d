import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serving.__main__ import app
from serving.filters.which import RulesRefused


def test_a_rules_file_is_printed_as_it_was_understood(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("caps:\n  - {name: two of a brand, attribute: brand, at_most: 2}\n")

    done = CliRunner().invoke(app, ["rules", str(file)])

    assert done.exit_code == 0
    assert json.loads(done.stdout)["caps"] == [{"name": "two of a brand", "attribute": "brand", "at_most": 2}]


def test_a_rules_file_that_would_be_refused_is_refused_with_the_same_sentence(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("caps:\n  - {name: none, attribute: brand, at_most: 0}\n")

    with pytest.raises(RulesRefused, match="at_most"):
        CliRunner().invoke(app, ["rules", str(file)], catch_exceptions=False)
