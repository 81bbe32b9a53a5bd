"""The answer processes and the channel over which they receive generations."""
