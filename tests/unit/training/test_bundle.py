from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from serving_world import write_bundle

from feature_repo.core.errors import BundleError
from training.bundle import FORMAT, MANIFEST, RankerFailed, load_bundle, load_towers, read_manifest, seal
from training.ranking.as_onnx import export_ranker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_sealed_bundle_loads(folder: Path) -> None:
    bundle = load_bundle(folder)

    assert set(bundle.manifest.files) == {path.name for path in folder.iterdir()} - {MANIFEST}
    assert bundle.rank(np.zeros((3, len(bundle.ranker_features)), np.float32)).shape == (3,)


def test_an_item_new_since_training_is_embedded_by_the_tower_and_a_known_one_by_the_index(folder: Path) -> None:
    bundle = load_bundle(folder)
    ids = np.array(["i3", "new"], object)

    found = bundle.embed_items(ids, {"item_event_count": np.zeros(2)})

    np.testing.assert_array_equal(found, bundle.run_item_tower(ids, {"item_event_count": np.zeros(2)}))


@pytest.mark.parametrize("name", ["ranker.ubj", "query_tower.onnx", "index.npy", "encoder.json"])
def test_one_changed_byte_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))

    with pytest.raises(BundleError, match=rf"{name}: expected SHA-256"):
        load_bundle(folder)


def test_a_missing_or_an_added_file_is_refused(folder: Path) -> None:
    (folder / "extra.pkl").write_bytes(b"")
    with pytest.raises(BundleError, match=r"the manifest names .* got .*extra\.pkl"):
        load_bundle(folder)

    (folder / "extra.pkl").unlink()
    (folder / "index.npy").unlink()
    with pytest.raises(BundleError, match="the manifest names"):
        load_bundle(folder)


def test_a_half_copied_folder_is_no_bundle(folder: Path) -> None:
    (folder / MANIFEST).unlink()

    with pytest.raises(BundleError, match=r"expected a bundle with a manifest\.json; it has none"):
        load_bundle(folder)


def test_a_bundle_of_another_format_is_refused(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text().replace(f'"format": {FORMAT}', '"format": 99'))

    with pytest.raises(BundleError, match=f"reads bundle format {FORMAT}; got 99"):
        load_bundle(folder)


def test_a_bundle_whose_ranker_reads_other_features_than_this_code_gives_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder).model_dump(exclude={"files", "format"})
    seal(folder, {**manifest, "ranker_features": [*manifest["ranker_features"][:-1], "phase_of_the_moon"]})

    with pytest.raises(BundleError, match=r"\['phase_of_the_moon', 'weekday_cos'\] differ"):
        load_bundle(folder)


def test_what_the_trees_runtime_refuses_is_a_failed_ranker(folder: Path) -> None:
    bundle = load_bundle(folder)

    with pytest.raises(RankerFailed, match=r"the ranker's trees must take \(3, 2\) features; "):
        bundle.bare_scores(np.zeros((3, 2), np.float32))
    with pytest.raises(RankerFailed, match="got towers alone"):
        load_towers(folder, bundle.manifest).bare_scores(np.zeros((3, 2), np.float32))


def test_another_ranker_is_the_one_that_scores(folder: Path, tmp_path: Path) -> None:
    """A warm start was validated with the scores of the champion's trees."""
    rng = np.random.default_rng(3)
    bundle = load_bundle(folder)
    matrix = rng.normal(size=(40, len(bundle.ranker_features))).astype(np.float32)
    group = xgb.DMatrix(matrix, label=rng.integers(2, size=40), group=[20, 20])
    other = xgb.train({"objective": "rank:ndcg", "max_depth": 2}, group, num_boost_round=3)
    other.save_model(tmp_path / "ranker.ubj")
    export_ranker(other, tmp_path / "ranker.onnx")

    found = bundle.with_ranker(tmp_path).bare_scores(matrix)

    assert found == pytest.approx(other.inplace_predict(matrix), abs=1e-6)
    assert found != pytest.approx(bundle.bare_scores(matrix), abs=1e-3)
