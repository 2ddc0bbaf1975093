"""What LLVM made of a loop: its source with the reasons and counts of the machine code beside each line.

The room compiles and reads; it never runs what it compiled, so it can read code of another processor too.
"""
