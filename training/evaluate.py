"""`make evaluate`: replay the held-out window with the champion and the challenger, side by side."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from feature_repo.core.errors import MissingArtifact
from feature_repo.core.workspace import Workspace, read_json, write_json
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.split import Split, load_split, to_microseconds
from feature_repo.store.item_table import ItemTable
from feature_repo.store.open import open_store
from training import registry
from training.bundle import Bundle, load_bundle
from training.evaluation.compare import difference
from training.evaluation.evaluated import DECIDES, Measured, Setting, evaluation, measure, named
from training.evaluation.held_out_ratings import held_out_rating_errors
from training.evaluation.page_content import Evaluation, Importances, ModelRow, Report
from training.evaluation.protocols import REPLAY, asked_of, protocols
from training.evaluation.rating import RatingErrors
from training.evaluation.replayed import TWO_STAGE, Replayed, replay
from training.evaluation.segment_lift import segment_lift
from training.evaluation.slate_rows import slate_rows, slates_name
from training.evaluation.world import World, item_vectors, load_world
from training.promote import EVALUATION
from training.ranking.importance import importance
from training.recommender import POPULAR
from training.reference import recommended_rows
from training.replay import Moment, moments, open_timeline

SEED = 20
PAGE = "evaluation.html"


@dataclass(frozen=True)
class Version:
    """A registered version, opened."""

    number: str
    bundle: Bundle

    @property
    def best_retriever(self) -> str:
        """The retriever that was best alone on the validation requests of the version's own training window."""
        alone = {
            name: self.bundle.manifest.metrics.get(f"validation_{name.replace('-', '_')}_ndcg_at_10", 0.0)
            for name in self.bundle.manifest.retrievers
        }
        return max(alone, key=lambda name: alone[name])


def evaluate(
    workspace: Workspace, *, on_stage: Callable[[str, int], None], on_request: Callable[[], None]
) -> dict[str, Any]:
    """Measure both versions on the same requests; writes the report, its page and what each recommended."""
    champion, challenger = pair(workspace)
    split, store = load_split(workspace), open_store(workspace)
    versions = [
        Version(number, load_bundle(registry.download_bundle(workspace, number)))
        for number in (champion, challenger)
        if number
    ]
    asked = moments(workspace, split.challenger_end, split.test_end)
    timeline = open_timeline(store, workspace, start=split.challenger_end, end=split.test_end)
    item_ids = timeline.table.item_ids
    world, settings = _settings(workspace, timeline.table, asked, split)
    found: dict[str, dict[str, Measured]] = {}
    for setting in settings:
        of_version = found.setdefault(setting.protocol.name, {})
        for version in versions:
            on_stage(f"{setting.protocol.name} of version {version.number}", len(setting.protocol.asked))
            replayed = replay(store, version.bundle, timeline.again(), setting.protocol.asked, on_request)
            of_version[version.number] = measure(replayed, setting, primitive=POPULAR)
            if setting.protocol.name == REPLAY:
                _write_current(workspace, version, replayed, setting.protocol.asked, item_ids)
                _write_slates(workspace, version, replayed, setting, item_ids)
    sections = [_section(setting, versions, found[setting.protocol.name]) for setting in settings]
    ratings = held_out_rating_errors(world, seed=SEED)
    report = _report(workspace, split, settings, versions, found, ratings)
    write_json(workspace.reports / EVALUATION, report)
    _write_page(workspace, sections, versions[0], ratings)
    for version in versions:
        for name in (EVALUATION, PAGE):
            registry.log_report(workspace, version.number, workspace.reports / name)
    return report


def _settings(workspace: Workspace, table: ItemTable, asked: list[Moment], split: Split) -> tuple[World, list[Setting]]:
    world = load_world(workspace, table, start=split.challenger_end, end=split.test_end)
    items = world.known_items(item_vectors(active_dataset(workspace), table))
    settings = [
        Setting(
            protocol=protocol,
            asked=asked_of(protocol.asked, table.rows, np.random.default_rng(SEED)),
            items=items,
            segments=world.user_segments(protocol.asked),
            new_items=world.new_items(),
        )
        for protocol in protocols(asked, to_microseconds(split.challenger_end))
    ]
    return world, settings


def _section(setting: Setting, versions: list[Version], found: dict[str, Measured]) -> Evaluation:
    """One section of the page: every model of the champion, and the challenger's two stages."""
    champion, *others = versions
    first = found[champion.number]
    names = {model: f"{model} v{champion.number}" if model == TWO_STAGE else model for model in first.slates}
    parts = [named(first, names)]
    model, reference, why = names[TWO_STAGE], champion.best_retriever, "the best single retriever on validation"
    for other in others:
        model, reference, why = f"{TWO_STAGE} v{other.number}", names[TWO_STAGE], "the champion"
        parts.append(named(found[other.number], {TWO_STAGE: model}))
    return evaluation(setting, parts, model=model, reference=reference, reference_is=why, seed=SEED)


def _report(
    workspace: Workspace,
    split: Split,
    settings: list[Setting],
    versions: list[Version],
    found: dict[str, dict[str, Measured]],
    ratings: dict[str, RatingErrors],
) -> dict[str, Any]:
    champion, *others = versions
    replayed, setting = found[REPLAY], settings[0]

    def compared(one: Measured, model: str, other: Measured, than: str, under: Setting = setting) -> dict[str, float]:
        return asdict(difference(one.of(model), other.of(than), under.asked.user, under.asked.weights))

    best = replayed[champion.number]
    comparison, lift = None, []
    if others:
        challenger = replayed[others[0].number]
        comparison = {"metric": DECIDES, **compared(challenger, TWO_STAGE, best, TWO_STAGE)}
        values = (best.of(TWO_STAGE), challenger.of(TWO_STAGE))
        lift = segment_lift(*values, setting.segments, setting.asked.user, metric=DECIDES, seed=SEED)
    return {
        "data_fingerprint": _fingerprint(workspace),
        "window": {"start": split.challenger_end.isoformat(), "end": split.test_end.isoformat()},
        "requests": len(setting.protocol.asked),
        "users": int(setting.asked.user.max()) + 1,
        "champion": champion.number,
        "challenger": others[0].number if others else None,
        "metrics": [row for number, one in replayed.items() for row in _flat(one.rows, number)],
        "split": [row for number, one in found[settings[1].protocol.name].items() for row in _flat(one.rows, number)],
        "lift": {"metric": DECIDES, "over": POPULAR, **compared(best, TWO_STAGE, best, POPULAR)},
        "comparison": comparison,
        "segments": lift,
        "over_retrievers": [
            {
                "version": version.number,
                "protocol": under.protocol.name,
                "retriever": version.best_retriever,
                **compared(one, TWO_STAGE, one, version.best_retriever, under),
            }
            for version in versions
            for under in settings
            for one in [found[under.protocol.name][version.number]]
        ],
        "ratings": {name: asdict(errors) for name, errors in ratings.items()},
        "example_user": setting.protocol.asked[0].user_id,
    }


def _flat(rows: tuple[ModelRow, ...], version: str) -> list[dict[str, Any]]:
    return [
        {"model": row.name, "version": version, "metric": metric, **estimate.model_dump()}
        for row in rows
        for metric, estimate in row.metrics.items()
    ]


def _write_page(
    workspace: Workspace, sections: list[Evaluation], champion: Version, ratings: dict[str, RatingErrors]
) -> None:
    # matplotlib takes a second to load, and only the page needs it.
    from training.evaluation.html import write_page

    data = read_json(workspace.reports / "data.json", made_by="make data")
    facts = {name: str(data[name]) for name in ("dataset", "events", "users", "items", "fingerprint")}
    notes = [
        f"How well simple models guess the value of an event, as a yardstick ({name}): "
        f"RMSE {errors.rmse.value:.3f} [{errors.rmse.low:.3f}, {errors.rmse.high:.3f}], "
        f"MAE {errors.mae.value:.3f} [{errors.mae.low:.3f}, {errors.mae.high:.3f}]."
        for name, errors in ratings.items()
    ]
    report = Report(
        title=f"{champion.bundle.manifest.dataset}: how good are the recommendations?",
        made_at=datetime.now(UTC),
        data=facts,
        evaluations=sections,
        importances=_importances(champion.bundle),
        notes=notes,
    )
    write_page(report, workspace.reports / PAGE)


def _importances(bundle: Bundle) -> Importances:
    """On the reference sample: what the ranker looked at in what it recommended."""
    sample = pq.read_table(bundle.folder / "reference.parquet")
    matrix = np.stack([sample[name].to_numpy() for name in bundle.ranker_features], axis=1)
    _, groups = np.unique(np.asarray(sample["request_id"].to_numpy(), object), return_inverse=True)
    order = np.argsort(groups, kind="stable")
    found = importance(
        bundle.ranker, matrix[order], groups[order], bundle.ranker_features, rng=np.random.default_rng(SEED)
    )
    return Importances(measure="mean |SHAP| around the mean of the request", values=found.shap_within_request)


def up_to_date(workspace: Workspace) -> dict[str, Any] | None:
    """The report, where it is about the present data, champion and challenger, or was until those were decided on."""
    path = workspace.reports / EVALUATION
    if not path.exists():
        return None
    report = dict(read_json(path, made_by="make evaluate"))
    compared = (report["champion"], report["challenger"])
    same_pair = compared == registry.compared_pair(registry.aliases(workspace))
    # A report from before it compared segments is made anew: promotion asks for them.
    complete = "segments" in report and report.get("data_fingerprint") == _fingerprint(workspace)
    return report if same_pair and complete else None


def pair(workspace: Workspace) -> tuple[str, str | None]:
    """The versions of champion and challenger."""
    now = registry.aliases(workspace)
    if registry.CHAMPION not in now:
        raise MissingArtifact("no version is champion yet: run `make train` first")
    return now[registry.CHAMPION], now.get(registry.CHALLENGER)


def _fingerprint(workspace: Workspace) -> str:
    return str(read_json(workspace.reports / "data.json", made_by="make data")["fingerprint"])


def _write_current(
    workspace: Workspace,
    version: Version,
    replayed: Replayed,
    asked: list[Moment],
    item_ids: "np.ndarray[Any, Any]",
) -> None:
    of_row = [asked[number] for number in replayed.request[replayed.shown]]
    slates = replayed.slates[TWO_STAGE]
    table = recommended_rows(
        version.bundle.ranker_features,
        features=replayed.features,
        scores=replayed.scores[replayed.shown],
        request_ids=[f"{m.user_id}@{m.moment_us}" for m in of_row],
        user_ids=[m.user_id for m in of_row],
        moments_us=[m.moment_us for m in of_row],
        item_ids=item_ids[slates[slates >= 0]],
        labels=replayed.clicked[replayed.shown],
    )
    pq.write_table(table, workspace.reports / f"current-{version.number}.parquet")


def _write_slates(
    workspace: Workspace, version: Version, replayed: Replayed, setting: Setting, item_ids: "np.ndarray[Any, Any]"
) -> None:
    slates = replayed.slates[TWO_STAGE]
    table = slate_rows(setting.protocol.asked, slates, setting.asked, segments=setting.segments, item_ids=item_ids)
    pq.write_table(table, workspace.reports / slates_name(version.number))
