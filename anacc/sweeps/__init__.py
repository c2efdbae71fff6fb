"""One model compiled over a grid of parameters of the chip and of the compiler.

::

    study  = model, target, data, options         the same for all points
    axis   = a key of the target, or an option, and its values
    point  = a value for each axis
    row    = what came out of a point

Each point is compiled in a process of its own kind (`worker`), as many at a time as there are
CPUs; a process imports the model once.  Rows do not depend on how many processes there are.
"""
