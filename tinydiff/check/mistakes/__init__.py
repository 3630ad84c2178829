"""The mistakes that hints know: a page for each page of laws, which registers them with its specifications."""

from importlib import import_module

from tinydiff.check.laws import __all__ as subjects

for subject in subjects:
    import_module(f"{__name__}.{subject}")
