"""Mappings that a user gives, held to the model."""
