"""The mathematics of diffusion: a page for each subject, in the order of the course, and a test for each identity.

Each test states a law in its docstring, with its source and the mistake that it catches, draws what the law quantifies
over with Hypothesis, and takes the expected value by another road than the library does. `identity` numbers it, names
the function that it is about and says what it holds to in float64 and float32; planted/ lists the wrong lines of the
library that must turn it red, and test_bugs.py proves that they do. `make docs` makes the site's catalogue of them.
"""
