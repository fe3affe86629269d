"""The sentences a user may see: every error of ours says the rule and what arrived."""


class RecommenderError(Exception):
    """Base of every error whose text is a sentence for a person. Commands print it and exit with 2."""


class DatasetError(RecommenderError):
    """A dataset.yaml, or a table it names, breaks a rule."""


class StoreUnavailable(RecommenderError):
    """A feature store cannot be read."""


class MissingArtifact(RecommenderError):
    """A command needs the result of an earlier one, and it is not there."""


class EngineUnavailable(RecommenderError):
    """The engine that ENGINE names is not known, not installed, or did not start."""


class JoinRefused(RecommenderError):
    """A point-in-time join was asked for that has no answer."""


class LeakFound(RecommenderError):
    """A training set holds what was not known yet at its moment, or nothing that could be compared."""


class BundleError(RecommenderError):
    """A bundle is incomplete, altered, or asks for features that the store does not have."""


class NotMeasurable(RecommenderError):
    """A metric was asked of values that have none: no request at all, or slates and relevant items that do not fit."""


class SettingsRefused(RecommenderError):
    """Settings break a rule, or do not fit the data that they are for."""
