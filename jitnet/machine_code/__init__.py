"""What LLVM made of a loop: its source with the reasons and counts of the machine code beside each line.

The room compiles and reads; it never runs what it compiled, so it can read code of another processor too.

records.py    what the line view holds                look.py       from a request to views, by way of a worker
targets.py    own kernels by name; processors         worker.py     the process that compiles: remarks and assembly
assembly.py   text to instructions and loops          remarks.py    what LLVM says of its loops, in plain words
strides.py    vectors that only run for steps of one element
analysers.py  llvm-mca and OSACA, where installed
"""
