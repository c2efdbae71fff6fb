"""Tiles and strips on crossbars."""
