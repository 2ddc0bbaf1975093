"""The worker process that compiles: it changes Numba and LLVM for itself.

__main__.py         from the request to answers             cross_compile.py  for this processor, or another
compile_targets.py  the functions, found and compiled       strides.py        vectors for steps of one element alone
line_table.py       the source line of each instruction
"""
