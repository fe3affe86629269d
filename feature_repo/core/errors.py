"""The sentences a user may see: every error of ours says the rule and what arrived."""


class RecommenderError(Exception):
    """Base of every error whose text is a sentence for a person. Commands print it and exit with 2."""


class DatasetError(RecommenderError):
    """A dataset.yaml, or a table it names, breaks a rule."""


class StoreUnavailable(RecommenderError):
    """A feature store cannot be read."""


class MissingArtifact(RecommenderError):
    """A command needs the result of an earlier one, and it is not there."""


class BundleError(RecommenderError):
    """A bundle is incomplete, altered, or asks for features that the store does not have."""
