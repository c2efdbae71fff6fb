"""The assembly language: a program's code as text that people can read and edit.

A line holds one declaration or instruction; `;` or `#` starts a comment.  Indentation is free::

    .anacc 2
    .adc 0 phases=4 multiplier=9000000 shift=40 maximum=854
    .weight 0 rows=144 columns=16
    .table 0 base=32 entries=257 limit=8.0 odd=yes interpolate=yes
    .channel 0 i8 token=16 capacity=64 route=12,13
    .stream 0 core 0.12 "conv1 rows 0:144 columns 0:16"
      .register 0 i8 144
      .register 1 f16 16 state
      .buffer i8 18496 fill=0
      program 0, 0, 0
      loop 32
        loop 10 seq
          recv r0[0:16], c0
          ...
        end
      end

A stream of another round than 0 has `round=1` behind its name, for example.  Items are numbered
from 0 without gaps.  Operands stand in the order of `isa.TABLE`:

    r0[16:32]               elements 16 to 31 of register 0
    c5                      channel 5
    @68+544*i0-16*i1{3:544, 16:1}
                            buffer elements: base, a stride for each enclosing loop (i0 is the
                            outermost; those that are not named have stride 0), then count:stride
                            of each dimension
    %32+16*i0{16}           16 constants from 32 on, with strides in the same way
    7                       an integer
    6.0                     a binary16 number
"""

from anacc.program.assemble import assemble
from anacc.program.disassemble import disassemble

__all__ = ["assemble", "disassemble"]
