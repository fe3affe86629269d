"""What every test needs before the first import."""

# Feast, when imported, tells prometheus_client to count in files that all registries of a process share. Imported
# first, prometheus_client counts in memory, and one test's counters are not another's.
import prometheus_client  # noqa: F401
from hypothesis import settings

# An example has no time limit of its own: a busy machine is no fault of the code.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
