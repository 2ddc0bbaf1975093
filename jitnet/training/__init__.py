"""Training: how a run is planned, what each epoch sees, and the loop of epochs that reports."""
