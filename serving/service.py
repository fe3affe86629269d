"""The Bento service around the HTTP app.

Theory of operation: Bento's supervisor imports this module to read the service's settings, then its worker
imports it again to serve. So importing it must be cheap: the app opens its runtime (feast, onnxruntime, the
bundle) when the worker's ASGI lifespan starts, and no request is read before that is done. Our paths, with
/readyz and /metrics, are taken over before Bento's own; Bento keeps /livez.
"""

from typing import Any

import bentoml

from serving.app import STRAIGHT, create_app
from serving.operations.front import Front
from serving.start import open_from_env

app = create_app(open_from_env)


class Recommender:
    """Slates from one registered version of the recommender."""


RecommenderService: Any = bentoml.service(
    name="recommender",
    workers=1,
    # Loopback unless told otherwise; a container passes its own host on the command line.
    http={"host": "127.0.0.1"},
    logging={"access": {"enabled": False}},
    # Ours count what theirs do, without a lookup of five labels in four metrics for each request.
    metrics={"enabled": False},
    # OpenTelemetry's middleware cannot be left out, but an excluded path goes around nearly all of it.
    tracing={"excluded_urls": ".*"},
)(Recommender)
RecommenderService.mount_asgi_app(app)
RecommenderService.add_asgi_middleware(Front, ours=app, straight=STRAIGHT)
