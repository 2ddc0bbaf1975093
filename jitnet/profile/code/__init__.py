"""What LLVM made of a loop: its source with the reasons and counts of the machine code beside each line.

This floor compiles and reads; it never runs what it compiled, so it can also read code of another processor.

code_view.py        the records of the line view    look.py         from a request to views, through a worker process
kernel_names.py     jitnet's kernels by name        processors.py   LLVM's processors by name
assembly.py         text to instructions and loops  remarks.py      LLVM's remarks on its loops, in plain words
instructions.py     what one instruction does       analysers.py    llvm-mca and OSACA, where installed
source.py           loops of the source, matched with machine loops

worker/             the worker process, which changes its Numba and LLVM
"""
