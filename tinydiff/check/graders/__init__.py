"""What lets nbgrader and Otter take their marks from ``tinydiff.check.grade``. Each imports the tool it is for."""
