"""Property tests draw the same examples in every run; ``--hypothesis-profile=default`` looks for new ones."""

import os
import tempfile

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

# Compiled networks of tests are none of the user's.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="pancascade-tests-")
