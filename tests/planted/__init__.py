"""Functions with one fault each, for the profile of functions to find, and clean ones in which it shall find none."""
