"""The words of dnsd as types: nodes, reports, drains, pools, and the state of a fleet. Standard library only."""
