"""The ranker's matrix: one definition for training rows and for the candidates of a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feature_repo.features.columns import Columns
from feature_repo.features.item import item_features
from feature_repo.features.pairs import PAIR_FEATURES, Labels, affinities, affinity_features, pairs_at
from feature_repo.features.request import CONTEXT_FEATURES, context_at
from feature_repo.features.user import user_features, user_features_at
from training.encoder import AttributeEncoder, Encoder, flags
from training.retrieval.fusion import retrieval_features
from training.segments import SEGMENT_FEATURE

Array = np.ndarray[Any, Any]

LAST_ITEM_SCORE = "last_item_score"


@dataclass(frozen=True)
class Requests:
    """r requests: raw user columns [r], moments [r] in UTC microseconds, declared context of each."""

    users: Columns
    moments_us: Array
    contexts: Sequence[Mapping[str, str]]

    def __len__(self) -> int:
        return len(self.moments_us)


@dataclass(frozen=True)
class CandidateRows:
    """n candidates: the request of each, what users have tastes in, and what else is known of the items.

    `attributes` are of `attribute_matrix`, `features` [n, i] of `item_features_at`. `retrieval` has a score and a rank
    of each retriever, and LAST_ITEM_SCORE at the end.
    """

    request: Array
    item_ids: Array
    tastes: Mapping[str, Labels]
    attributes: Array
    retrieval: Columns
    features: Array


def join_requests(parts: Sequence[Requests]) -> Requests:
    """Requests of one batch, whose lists are padded alike, as one value again."""
    return Requests(
        {name: np.concatenate([part.users[name] for part in parts]) for name in parts[0].users},
        np.concatenate([part.moments_us for part in parts]),
        [context for part in parts for context in part.contexts],
    )


def join_candidates(parts: Sequence[CandidateRows]) -> CandidateRows:
    """Candidates of several requests, all from one item table, as those of one batch."""
    first = parts[0]
    return CandidateRows(
        request=np.concatenate([part.request for part in parts]),
        item_ids=np.concatenate([part.item_ids for part in parts]),
        tastes={
            name: Labels(np.concatenate([part.tastes[name].codes for part in parts]), labels.numbers)
            for name, labels in first.tastes.items()
        },
        attributes=np.concatenate([part.attributes for part in parts]),
        retrieval={name: np.concatenate([part.retrieval[name] for part in parts]) for name in first.retrieval},
        features=np.concatenate([part.features for part in parts]),
    )


def feature_names(encoder: Encoder, retrievers: Sequence[str]) -> tuple[str, ...]:
    """Column names of `feature_matrix` over candidates of `retrievers`."""
    return (
        *retrieval_features(retrievers),
        LAST_ITEM_SCORE,
        *item_features(encoder.plan),
        *_attribute_names("item", encoder.items),
        *(PAIR_FEATURES if encoder.plan.repeats else ()),
        *affinity_features(encoder.plan.tastes),
        *user_features(encoder.plan),
        SEGMENT_FEATURE,
        *_attribute_names("user", encoder.users),
        *CONTEXT_FEATURES,
        *(f"context:{name}" for name in encoder.plan.context),
    )


def feature_matrix(encoder: Encoder, requests: Requests, candidates: CandidateRows) -> Array:
    """Float32 [n, features]: what depends on the request alone is computed once for each request."""
    request, users, moments_us = candidates.request, requests.users, requests.moments_us
    pairs = affinities(encoder.plan.tastes, users, candidates.tastes, request)
    if encoder.plan.repeats:  # else whatever was met before is no candidate
        pairs = {**pairs_at(users, candidates.item_ids, request, moments_us), **pairs}
    parts = [
        *candidates.retrieval.values(),
        candidates.features,
        candidates.attributes,
        *pairs.values(),
        _of_requests(encoder, requests).take(request, axis=0),
    ]
    return _beside(parts)


def _of_requests(encoder: Encoder, requests: Requests) -> Array:
    """Float32 [r, features] of what depends on the request alone."""
    of_user = user_features_at(encoder.plan, requests.users, requests.moments_us)
    columns = [
        *of_user.values(),
        encoder.segments.assign(of_user),
        *attribute_matrix(encoder.users, requests.users, len(requests)).T,
        *context_at(requests.moments_us).values(),
        *encoder.context_codes(requests.contexts).T,
    ]
    return np.array(columns, np.float32).T


def attribute_matrix(encoder: AttributeEncoder, columns: Columns, rows: int) -> Array:
    """Declared attributes as float32 [rows, a]: numbers with an indicator of missing ones, codes, flags.

    Texts are the towers': trees would cut their reduced vectors one axis at a time.
    """
    parts = [np.stack(scale.imputed(columns[name]), axis=1) for name, scale in encoder.numeric.items()]
    parts += [known.encode(columns[name])[:, None] for name, known in encoder.categorical.items()]
    parts += [flags(known, columns[name]) for name, known in encoder.multi.items()]
    return np.concatenate(parts, axis=1).astype(np.float32) if parts else np.zeros((rows, 0), np.float32)


def _attribute_names(prefix: str, encoder: AttributeEncoder) -> list[str]:
    numeric = [text for name in encoder.numeric for text in (name, f"{name}=missing")]
    multi = [f"{name}={label}" for name, known in encoder.multi.items() for label in known.labels]
    return [f"{prefix}:{name}" for name in (*numeric, *encoder.categorical, *multi)]


def _beside(parts: Sequence[Array]) -> Array:
    """Columns [n] and matrices [n, m] as one float32 matrix."""
    wide = [part if part.ndim == 2 else part[:, None] for part in parts]
    matrix = np.empty((len(wide[0]), sum(part.shape[1] for part in wide)), np.float32)
    return np.concatenate(wide, axis=1, out=matrix)
