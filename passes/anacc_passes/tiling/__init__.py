"""From layers to chip ops: how each kind of layer is cut into streams."""
