"""Learning and judging: labels, learner, models, metrics, and the order of the lists."""
