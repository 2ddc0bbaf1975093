"""`python -m jitnet` is the command `jitnet`."""

from jitnet.cli import main

if __name__ == "__main__":
    main()
