from pathlib import Path

import numpy as np
import pytest
from serving_world import write_bundle

from feature_repo.core.errors import BundleError
from training.bundle import MANIFEST, load_bundle, read_manifest, seal


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
    path.write_text(path.read_text().replace('"format": 3', '"format": 99'))

    with pytest.raises(BundleError, match="reads bundle format 3; got 99"):
        load_bundle(folder)


def test_a_bundle_whose_ranker_reads_other_features_than_this_code_gives_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder).model_dump(exclude={"files", "format"})
    seal(folder, {**manifest, "ranker_features": [*manifest["ranker_features"][:-1], "phase_of_the_moon"]})

    with pytest.raises(BundleError, match=r"\['phase_of_the_moon', 'weekday_cos'\] differ"):
        load_bundle(folder)
