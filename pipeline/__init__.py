"""What a step has at hand: command line, settings, paths, files, workers; minima and exact results in and out."""
