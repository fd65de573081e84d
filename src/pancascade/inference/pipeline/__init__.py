"""A model's steps one after another, and what is decided from their probabilities."""
