"""`jitnet profile`: what loops cost, and why. Nothing here prints.

step/        a training step, with a clock round each line
code/        what the compiler made of a loop: source lines beside machine code
functions/   any Numba function: how long, on which threads, why, and what to change
users/       the user's functions, as the worker processes of both see them

document.py    documents of step/ and functions/, read and compared
loading.py     the user's modules, for worker processes
readable.py    Numba's errors and names in machine code, as readable text

What changes Numba, or runs the user's code, runs in a worker process: the folders `worker` in code/ and functions/. A
worker folder and the modules beside it import from each other only what describes a request and its reply.
"""
