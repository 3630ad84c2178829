"""The mathematics of diffusion, one test for each identity; docs/identities.md shows them as a catalogue.

Each test states a law in its docstring, with its source and the mistake that it catches, draws what the law quantifies
over with Hypothesis, and takes the expected value by another road than the library does. `identity` numbers it and
says what it holds to in float64 and float32, and which wrong lines of the library turn it red (test_bugs.py proves it).
"""
