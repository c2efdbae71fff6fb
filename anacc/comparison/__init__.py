"""A program beside its model in float32, tensor by tensor."""
