"""The numeric tests of the exercises that no law of check judges, one page for each notebook."""
