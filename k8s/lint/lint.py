"""The lint of an overlay: all rules, and the one function that asks them."""

from collections.abc import Callable, Iterator
from pathlib import Path

from feature_repo.core.errors import RecommenderError
from k8s.lint.containers import commands, images, resources, rights
from k8s.lint.names import labels, names
from k8s.lint.problem import Known, Manifests, Problem
from k8s.lint.references import references, secrets
from k8s.lint.render import Manifest, render
from k8s.lint.route import routes
from k8s.lint.selectors import selectors, sizes, targets
from k8s.lint.serving_pods import drain, ports, probes, variables

Rule = Callable[[Manifests, Known], Iterator[Problem]]
RULES: tuple[Rule, ...] = (
    names,
    labels,
    selectors,
    targets,
    sizes,
    resources,
    images,
    rights,
    commands,
    ports,
    probes,
    variables,
    drain,
    references,
    secrets,
    routes,
)


class ManifestsRefused(RecommenderError):
    """Manifests break rules."""


def problems_of(objects: list[Manifest], known: Known) -> list[Problem]:
    """Every broken rule of an overlay's objects."""
    manifests = Manifests(tuple(objects))
    return [problem for rule in RULES for problem in rule(manifests, known)]


def lint_overlay(folder: Path, known: Known) -> int:
    """How many objects an overlay has, if all rules hold.

    Raises:
        ManifestsRefused: some do not; the sentence names them all.
        RenderError: the overlay cannot be rendered.
    """
    objects = render(folder)
    if problems := problems_of(objects, known):
        raise ManifestsRefused(f"{folder.name}: " + "\n".join(map(str, problems)))
    return len(objects)
