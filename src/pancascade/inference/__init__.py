"""Models, and how they run: backends, runners, the steps of a pipeline, localization."""
