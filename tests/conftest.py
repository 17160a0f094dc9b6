"""The fixtures of every test: servers, databases, caches, and the judge of what is left."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ("tests.fix_servers", "tests.fix_report", "tests.fix_caches", "tests.fix_judge")

# An example that is slow on a busy machine is no fault, and a failure should be easy to repeat.
# The same examples every time: a run tells of the change, not of luck. The long tests look for new
# ones.
settings.register_profile("rediscache", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("rediscache")
