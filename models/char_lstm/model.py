"""A character-level LSTM language model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

UNKNOWN = "\ufffd"
"""Stands for every character outside the vocabulary; its id is 0."""

VOCABULARY = UNKNOWN + "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))
"""The character of each id: unknown, newline and the 95 printable ASCII characters."""

SEQUENCE_LENGTH = 64
EMBEDDING = 64
HIDDEN = 192


def encode(text: str) -> list[int]:
    """Return the id of each character of `text`."""
    ids = {character: index for index, character in enumerate(VOCABULARY)}
    return [ids.get(character, 0) for character in text]


class CharLstm(nn.Module):
    """Embedding, one LSTM layer that starts from a zero state, and a linear output layer.

    An embedded character and the hidden state together are 64 + 192 = 256 values, the number of
    rows of one crossbar.

    Args:
        dropout: share of embedded characters' and hidden values set to zero in training.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN)
        self.output = nn.Linear(HIDDEN, len(VOCABULARY))
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """Map character ids [N, T] to logits [N, T, V] of the characters that follow."""
        x = self.dropout(self.embedding(ids)).transpose(0, 1)
        hidden, _ = self.lstm(x)
        logits: Tensor = self.output(self.dropout(hidden).transpose(0, 1))
        return logits


def reorder_gates(parameter: Tensor) -> Tensor:
    """Bring the gates of an LSTM parameter [4 * H, ...] from PyTorch's into ONNX's order.

    PyTorch stacks input, forget, cell and output gate; ONNX input, output, forget and cell gate.
    """
    i, f, c, o = parameter.chunk(4)
    return torch.cat([i, o, f, c])
