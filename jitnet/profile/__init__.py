"""`jitnet profile`: what loops cost, and why. Nothing here prints.

step/        a training step, with a clock round each line
code/        what the compiler made of a loop: source lines beside machine code
functions/   any Numba function: how long, on which threads, why, and what to change

document.py    documents of step/ and functions/, read back and compared
loading.py     modules of the user's, for worker processes
readable.py    errors of Numba's and names in machine code, for people

What changes Numba, or runs code of the user's, runs in a worker process: the folders `worker` in code/ and functions/.
A worker folder and the modules beside it import only what describes a request and its answer from each other.
"""
