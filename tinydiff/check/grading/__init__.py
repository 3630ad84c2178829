"""Grading: the judge on one side, the student's functions in a process of their own on the other."""
