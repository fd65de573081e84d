"""Cascades whose networks are ONNX files beside their weights; they run without torch."""
