"""Physics on arrays: energies, minima, features, paths, tunnelling, sampling. Units are σ, ε and m throughout."""
