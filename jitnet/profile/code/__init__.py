"""What LLVM made of a loop: its source with the reasons and counts of the machine code beside each line.

The floor compiles and reads; it never runs what it compiled, so it can read code of another processor too.

code_view.py        what the line view holds        look.py         from a request to views, by way of a worker process
kernel_names.py     jitnet's kernels by name        processors.py   LLVM's processors by name
assembly.py         text to instructions and loops  remarks.py      what LLVM says of its loops, in plain words
instructions.py     what one instruction does       analysers.py    llvm-mca and OSACA, where installed
source.py           loops of the source: which is which

worker/             the worker process, which changes Numba and LLVM for itself
"""
