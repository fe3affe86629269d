import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

from feature_repo.core.errors import DatasetError, SettingsRefused
from training.ranking import lambdamart
from training.ranking.order import top_overlap
from training.ranking.position_bias import estimated
from training.ranking.query_groups import QueryGroups
from training.settings import Objective, RankerSettings

Array = np.ndarray[Any, Any]

SMALL = RankerSettings(rounds=15, depth=3, learning_rate=0.3, subsample=1, column_share=1, min_child_weight=1)
NAMES = ("price", "genre[0]", "noise")
REQUESTS, CANDIDATES = 60, 12
GROUPS = np.repeat(np.arange(REQUESTS), CANDIDATES)


def matrix(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(len(GROUPS), 3)).astype(np.float32)


def unheard(number: int, score: float) -> None:
    del number, score


def first_by(scores: Array, places: int = 1) -> Array:
    """1.0 for the best of each request."""
    found = scores.reshape(REQUESTS, CANDIDATES)
    return (np.argsort(np.argsort(-found, axis=1), axis=1) < places).astype(np.float32).ravel()


def fit(x: Array, relevance: Array, settings: RankerSettings = SMALL, **more: Any) -> xgb.Booster:
    told = more.pop("on_round", unheard)
    return lambdamart.train(x, relevance, GROUPS, feature_names=NAMES, settings=settings, seed=1, on_round=told, **more)


def hits(booster: xgb.Booster, x: Array, relevance: Array) -> float:
    """Share of requests whose relevant item is ranked first."""
    return float(relevance[first_by(booster.inplace_predict(x)) > 0].mean())


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise", "binary:logistic", "reg:squarederror"])
def test_every_objective_finds_the_item_that_the_first_feature_makes_relevant(objective: str) -> None:
    x = matrix()
    relevance = first_by(x[:, 0])

    booster = fit(x, relevance, SMALL.model_copy(update={"objective": objective}))

    assert hits(booster, x, relevance) > 0.8


def test_a_saved_ranker_gives_equal_scores_and_the_same_seed_the_same_trees(tmp_path: Path) -> None:
    x = matrix()
    relevance = first_by(x[:, 0])
    booster = fit(x, relevance)
    booster.save_model(tmp_path / "ranker.ubj")

    again = xgb.Booster(model_file=tmp_path / "ranker.ubj")

    assert (again.inplace_predict(x) == booster.inplace_predict(x)).all()
    assert (fit(x, relevance).inplace_predict(x) == booster.inplace_predict(x)).all()


def test_a_missing_and_a_constant_feature_are_handled_and_give_no_nan() -> None:
    x = matrix()
    relevance = first_by(x[:, 0])
    x[::3, 1] = np.nan
    x[:, 2] = 7

    booster = fit(x, relevance)

    assert hits(booster, x, relevance) > 0.8
    assert np.isfinite(booster.inplace_predict(np.full((1, 3), np.nan, np.float32))).all()


def test_requests_without_an_order_are_left_out_and_counted_in_the_ranker() -> None:
    x = matrix()
    relevance = first_by(x[:, 0])
    relevance[GROUPS < 5], relevance[GROUPS == 7] = 0, 1

    found = lambdamart.facts(fit(x, relevance))

    assert found == {"rounds": 15, "groups_without_positive": 5, "groups_only_positives": 1}


def test_a_training_set_without_any_order_is_refused_with_a_sentence() -> None:
    with pytest.raises(DatasetError, match="of 60 requests 60 have no relevant candidate and 0 no other"):
        fit(matrix(), np.zeros(len(GROUPS)))
    with pytest.raises(DatasetError, match="of 0 requests"):
        lambdamart.train(
            np.zeros((0, 3)), np.zeros(0), np.zeros(0, int), feature_names=NAMES, settings=SMALL, seed=1, on_round=print
        )


def test_training_ends_when_the_validation_ndcg_no_longer_rises() -> None:
    x, other = matrix(0), matrix(1)
    told: list[float] = []
    settings = SMALL.model_copy(update={"rounds": 200, "patience": 3})

    booster = fit(
        x,
        first_by(x[:, 2]),
        settings,
        validation=QueryGroups(other, first_by(other[:, 0]), GROUPS),
        on_round=lambda _, score: told.append(score),
    )

    assert len(told) < 200
    assert booster.num_boosted_rounds() == int(np.argmax(told)) + 1


def test_a_score_only_rises_with_a_feature_that_must_increase_it() -> None:
    x = matrix()
    settings = SMALL.model_copy(
        update={"increasing": ("genre[0]",), "interactions": (("price", "genre[0]"), ("noise",))}
    )

    booster = fit(x, first_by(x[:, 0] - np.abs(x[:, 1])), settings)

    steps = np.zeros((50, 3), np.float32)
    steps[:, 1] = np.linspace(-3, 3, 50)
    assert (np.diff(booster.inplace_predict(steps)) >= 0).all()
    assert (np.diff(fit(x, first_by(x[:, 0] - np.abs(x[:, 1]))).inplace_predict(steps)) < 0).any()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"increasing": ("prize",)}, "'prize' is none; close to it: price"),
        ({"decreasing": ("zzz",)}, "'zzz' is none; there are 3 features"),
        ({"interactions": (("price", "nois"),)}, "close to it: noise"),
        ({"increasing": ("price",), "decreasing": ("price",)}, "got price twice"),
    ],
)
def test_constraints_on_what_is_no_feature_are_refused(changed: dict[str, Any], said: str) -> None:
    x = matrix()

    with pytest.raises(SettingsRefused, match=said):
        fit(x, first_by(x[:, 0]), SMALL.model_copy(update=changed))


@pytest.mark.parametrize("blend", ["labels", "models"])
def test_of_two_objectives_the_one_with_the_larger_share_is_served_better(blend: str) -> None:
    x = matrix()
    both = np.stack([first_by(x[:, 0]), first_by(x[:, 1])], axis=1)

    served = []
    for share in (0.1, 10.0):
        objectives = (Objective(name="a", weights={}, share=share), Objective(name="b", weights={}))
        booster = fit(x, both, SMALL.model_copy(update={"objectives": objectives, "blend": blend}))
        served.append([hits(booster, x, both[:, at]) for at in (0, 1)])

    assert served[0][1] > 0.6 > 0.4 > served[0][0]
    assert served[1][0] > 0.6 > 0.4 > served[1][1]


def test_a_blend_of_rankers_is_one_model_whose_score_is_their_standardised_sum(tmp_path: Path) -> None:
    x = matrix()
    both = np.stack([first_by(x[:, 0]), first_by(x[:, 1])], axis=1)
    objectives = (Objective(name="a", weights={}, share=1), Objective(name="b", weights={}, share=3))
    settings = SMALL.model_copy(update={"objectives": objectives, "blend": "models"})

    fit(x, both, settings).save_model(tmp_path / "ranker.ubj")
    blended = xgb.Booster(model_file=tmp_path / "ranker.ubj").inplace_predict(x)

    expected = np.zeros(len(x))
    for at, share in enumerate((0.25, 0.75)):
        scores = fit(x, both[:, at]).inplace_predict(x).reshape(REQUESTS, CANDIDATES)
        within = scores - scores.mean(axis=1, keepdims=True)
        expected += (share * within / within.std()).ravel()
    blended = blended.reshape(REQUESTS, CANDIDATES)
    assert (blended - blended.mean(axis=1, keepdims=True)).ravel() == pytest.approx(expected, abs=1e-4)


def test_a_ranker_that_learns_from_the_champion_keeps_more_of_its_slates() -> None:
    x = matrix()
    champion = x[:, 1]
    relevance = first_by(x[:, 0])

    kept = []
    for share in (0.0, 0.8):
        settings = SMALL.model_copy(update={"distillation": share})
        scores = fit(x, relevance, settings, champion=champion).inplace_predict(x).reshape(REQUESTS, CANDIDATES)
        slates = [np.argsort(-found)[:3].tolist() for found in (*scores, *champion.reshape(REQUESTS, CANDIDATES))]
        kept.append(np.mean([top_overlap(slates[q], slates[q + REQUESTS]) for q in range(REQUESTS)]))

    assert kept[1] > kept[0] + 0.2


def test_an_unbiased_ranker_does_not_learn_that_what_stood_first_is_good() -> None:
    rng = np.random.default_rng(3)
    requests, k = 1500, 8
    groups = np.repeat(np.arange(requests), k)
    quality = rng.random((requests, k))
    # What is shown first is known by a feature of its own, as a popularity would be, and is no better.
    liked = np.argsort(rng.random((requests, k)), axis=1).astype(np.float32)
    position = liked + 1
    clicked = (rng.random((requests, k)) < quality**2 / position).astype(np.float32)
    x = np.stack([quality.ravel(), liked.ravel(), rng.random(requests * k)], axis=1).astype(np.float32)
    trees = {"rounds": 40, "learning_rate": 0.1, "depth": 5, "min_child_weight": 5.0}
    settings = SMALL.model_copy(update={**trees, "objective": "rank:ndcg", "pairs": k})

    found = {}
    for unbiased in (False, True):
        booster = lambdamart.train(
            x,
            clicked.ravel(),
            groups,
            feature_names=NAMES,
            settings=settings.model_copy(update={"position_bias": unbiased}),
            seed=1,
            on_round=unheard,
            positions=position.ravel(),
        )
        scores = booster.inplace_predict(x).reshape(requests, k)
        found[unbiased] = quality[np.arange(requests), scores.argmax(axis=1)].mean()
        bias = estimated(booster)
        assert (bias is not None) == unbiased

    assert found[True] > found[False] + 0.03
    assert bias is not None
    assert bias.clicked[0] > bias.clicked[2] > bias.clicked[6]


def test_gains_above_31_pass_as_they_are_and_are_refused_as_grades() -> None:
    x = matrix()
    relevance = 40 * first_by(x[:, 0])

    assert hits(fit(x, relevance), x, relevance / 40) > 0.8
    with pytest.raises(DatasetError, match="set exponential_gain to false"):
        fit(x, relevance, SMALL.model_copy(update={"exponential_gain": True}))


def test_the_settings_reach_xgboost() -> None:
    x = matrix()
    settings = SMALL.model_copy(update={"pair_method": "mean", "pairs": 4, "max_bin": 16, "l2": 3.0})

    config = json.loads(fit(x, first_by(x[:, 0]), settings).save_config())["learner"]

    assert config["objective"]["lambdarank_param"]["lambdarank_num_pair_per_sample"] == "4"
    assert config["objective"]["lambdarank_param"]["lambdarank_pair_method"] == "mean"
    tree = json.dumps(config["gradient_booster"])
    assert '"lambda": "3"' in tree
    assert '"max_bin": "16"' in tree
