"""An independent proof that a program does what its model says, and fits its chip.

Nothing here comes from the compiler or from the loader's checks: only the data classes of the
program format, the instruction table and the targets are shared, so that one error cannot hide in
both.  Each property has a module that states it, with the argument why the check proves it:

- `coverage`: every cell of every weight matrix is used exactly once for each position;
- `flow`, `model_flow`: each product takes the elements that the model says (with a model);
- `codes`: the weights installed are the model's (with a model);
- `crossbars`, `units`, `routes`: no crossbar, unit or link is over capacity;
- `registers`, `buffers`: nothing is read before it is written;
- `progress`: the streams cannot wait for each other for ever, with the capacities of the file.
"""
