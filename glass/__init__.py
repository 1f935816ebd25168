"""The physics of a glass: energy model, minima, paths, tunnelling, sampling. Units are σ, ε and m throughout."""
