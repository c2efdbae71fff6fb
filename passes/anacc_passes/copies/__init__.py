"""Copies of layers: how many, and how they share the positions."""
