"""flowatlas: information flow routes of language model predictions, over whole datasets."""

__version__ = "0.1.0"
