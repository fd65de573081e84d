"""Run the steps of a model one after another, and decide labels from their probabilities."""
