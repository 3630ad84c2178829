"""What is not mathematics: the command line, runs and their files, reports, parallelism, and the self-test."""
