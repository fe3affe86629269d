"""One training run: retrievers on the first part of a window, ranker on the rest, all of it into a sealed bundle.

The ranker learns from candidates of retrievers that have not seen the requests it learns from. Then the retrievers go
on with those requests, so that what is served knows the whole window.
"""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from feast import FeatureStore

from feature_repo.core.errors import BundleError
from feature_repo.core.workspace import Workspace
from feature_repo.dataset.declaration import Dataset
from feature_repo.dataset.prepare import active_dataset
from feature_repo.dataset.split import to_microseconds
from feature_repo.store.item_table import item_table
from feature_repo.store.materialize import items_at
from feature_repo.store.open import open_store
from training.bundle import FORMAT, Bundle, Manifest, load_towers, seal
from training.card import model_card
from training.encoder import Encoder
from training.facts import collision_rates, manifest_facts
from training.leaks.check import check_leaks
from training.prior_trial import NO_PRIOR, prior_trial
from training.progress import Progress
from training.ranking import lambdamart
from training.ranking.as_onnx import export_ranker
from training.ranking.candidates import RankerRows, ranker_rows
from training.ranking.learn import divide, learn_ranker
from training.ranking.logged import LogSource, logged_rows
from training.recommender import TWO_TOWER, build_recommender
from training.replay import Moment, open_timeline
from training.retrieval.learn import Start, learn_retrieval
from training.retrieval.training_log import usable
from training.settings import TrainingSettings
from training.validation import validate
from training.window import Window, open_window

__all__ = ["Progress", "train"]


@dataclass(frozen=True)
class Run:
    """What every part of a run needs."""

    store: FeatureStore
    workspace: Workspace
    dataset: Dataset
    settings: TrainingSettings
    progress: Progress
    window: Window
    retrievers: tuple[str, ...]

    def learn_retrieval(
        self, asked: list[Moment], until: datetime, folder: Path, *, start: Start | None = None, known: int = 0
    ) -> tuple[Encoder, dict[str, float]]:
        """Towers and other retrievers of `asked`, over the items known at `until`."""
        catalogue = item_table(items_at(self.store, self.workspace, to_microseconds(until)), until)
        return learn_retrieval(
            self.store,
            self.dataset,
            asked,
            catalogue,
            self.settings,
            folder,
            self.progress,
            retrievers=self.retrievers,
            start=start,
            known=known,
        )

    def draft(self, folder: Path, encoder: Encoder) -> Bundle:
        """The retrievers in `folder` as a bundle without a ranker."""
        facts = manifest_facts(
            self.store,
            self.workspace,
            self.dataset,
            self.window,
            encoder,
            self.settings,
            (TWO_TOWER, *self.retrievers),
        )
        return load_towers(folder, Manifest(**facts, metrics={}, files={}, format=FORMAT))

    def ranker_rows(self, bundle: Bundle, champion: Bundle | None) -> RankerRows:
        """Candidates of the ranker's requests, retrieved by `bundle`; with the scores of a champion to learn from."""
        window = self.window
        timeline = open_timeline(self.store, self.workspace, start=window.cut, end=window.end)
        self.progress.stage("candidates", len(window.for_ranker))
        teacher = build_recommender(champion, timeline.table) if champion else None
        recommender = build_recommender(bundle, timeline.table)
        return ranker_rows(
            self.store,
            recommender,
            timeline,
            window.for_ranker,
            self.progress.advance,
            event_types=tuple(self.dataset.weights),
            teacher=teacher,
        )

    def logged_rows(self, bundle: Bundle, source: LogSource) -> RankerRows:
        """Candidates and features as `bundle`'s version was served with them."""
        self.progress.stage("request log", 1)
        rows = logged_rows(
            self.workspace,
            source,
            feature_names=bundle.ranker_features,
            since=self.window.cut,
            until=self.window.end,
            event_types=tuple(self.dataset.weights),
        )
        self.progress.advance()
        return rows


def train(
    workspace: Workspace,
    settings: TrainingSettings,
    *,
    end: datetime,
    folder: Path,
    progress: Progress,
    champion: Bundle | None = None,
    warm: bool = False,
    source: LogSource | None = None,
) -> Manifest:
    """Train on events before `end` and write a sealed bundle into the empty `folder`.

    A `warm` run takes the champion's retrievers for the first part: the ranker learns from the days since, and the
    towers go on with them. Otherwise a champion is only asked for its scores, where settings want its order kept.
    With a `source` the run is warm, and the ranker learns from what was served and logged in those days.

    Raises:
        LeakFound: the features of a request hold what was not known before it.
    """
    store, dataset = open_store(workspace), active_dataset(workspace)
    known_until = _end_of(champion) if warm else None
    window = open_window(workspace, settings, end=end, cut=known_until)
    progress.stage("leak check", 1)
    rng = np.random.default_rng(settings.seed)
    checked = check_leaks(store, workspace, window.asked, requests=settings.leak_requests, rng=rng)
    progress.advance()
    run = Run(store, workspace, dataset, settings, progress, window, usable(settings.candidates.retrievers, dataset))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="first-") as scratch:
        first = _first(run, Path(scratch), champion if warm else None)
        if source is None:
            rows = run.ranker_rows(first, champion if settings.ranker.distillation else None)
        else:
            rows = run.logged_rows(first, source)
        learn, stop, hold_out = divide(len(rows.asked), settings)
        ranker = learn_ranker(
            rows,
            learn,
            stop,
            window.after,
            dataset=dataset,
            feature_names=first.ranker_features,
            settings=settings,
            progress=progress,
        )
        ranker.save_model(folder / "ranker.ubj")
        export_ranker(ranker, folder / "ranker.onnx")
        ranked = first.with_ranker(folder).under(settings.prior)
        later = rows.of(np.concatenate([stop, hold_out]))
        trial = prior_trial(ranked, later, window.after, to_microseconds(window.end), settings.ranker)
        ranked = ranked if trial.kept else ranked.under(NO_PRIOR)
        metrics = validate(ranked, rows.of(hold_out), hold_out, later, folder / "reference.parquet")
        encoder, learnt = run.learn_retrieval(
            window.asked,
            window.end,
            folder,
            start=Start(first.encoder, first.folder),
            known=len(window.before),
        )
    metrics |= trial.metrics() | learnt | lambdamart.facts(ranker) | checked.metrics() | collision_rates(encoder)
    manifest = run.draft(folder, encoder).manifest
    facts = manifest.model_dump(exclude={"metrics", "files", "format"})
    counts = {
        "tower_events": sum(len(m.items) for m in window.asked),
        "ranker_requests": len(learn) + len(stop),
        "validation_requests": len(hold_out),
    }
    shown = {**facts, **counts, "retrievers": ", ".join(manifest.retrievers), "features": len(manifest.ranker_features)}
    shown |= {"candidates": settings.candidates.total, "leaks": checked.sentence()}
    shown["ranker_source"] = (
        f"as version {source.version} was served" if source else "with the features of their moments"
    )
    (folder / "model_card.md").write_text(model_card(shown, metrics), encoding="utf-8")
    return seal(folder, {**facts, "prior": ranked.manifest.prior, "metrics": metrics})


def _first(run: Run, folder: Path, champion: Bundle | None) -> Bundle:
    """The retrievers that the ranker's candidates come from: the champion's, or those of the window's first part."""
    if champion is None:
        encoder, _ = run.learn_retrieval(run.window.before, run.window.cut, folder)
        return run.draft(folder, encoder)
    wanted = (TWO_TOWER, *run.retrievers)
    if champion.manifest.retrievers != wanted:
        raise BundleError(
            f"a warm start keeps the champion's retrievers, {', '.join(champion.manifest.retrievers)}; "
            f"got settings for {', '.join(wanted)}: train without it"
        )
    return champion


def _end_of(champion: Bundle | None) -> datetime:
    if champion is None:
        raise BundleError("a warm start needs a champion to start from; there is none")
    return datetime.fromisoformat(champion.manifest.window_end)
