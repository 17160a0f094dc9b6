"""The program `rediscache`: a demo and a benchmark on the user's own machine."""
