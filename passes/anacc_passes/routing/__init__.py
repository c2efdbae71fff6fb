"""What crosses links, and which ones."""
