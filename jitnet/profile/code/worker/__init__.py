"""The worker process that compiles: it changes its Numba and LLVM.

__main__.py         from the request to replies             cross_compile.py  for this processor, or another
compile_targets.py  the functions, found and compiled       strides.py        vectors for a stride of one element only
"""
