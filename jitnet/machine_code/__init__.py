"""What LLVM made of a loop: its source with the reasons and counts of the machine code beside each line.

The room compiles and reads; it never runs what it compiled, so it can read code of another processor too.

records.py          what the line view holds                look.py       from a request to views, by way of a worker
targets.py          own kernels by name; processors         source.py     loops of the source: which is which
assembly.py         text to instructions and loops          remarks.py    what LLVM says of its loops, in plain words
instructions.py     what one instruction does               analysers.py  llvm-mca and OSACA, where installed

In a process of its own, which changes Numba and LLVM for itself:

worker.py           from the request to answers             processor.py  this processor, or another
compile_targets.py  the functions, found and compiled       strides.py    vectors that run only for steps of one element
line_table.py       the source line of each instruction
"""
