"""The control process: drain service, capacity guard, publisher, workers' supervision, progress."""
