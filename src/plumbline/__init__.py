"""plumbline turns a data set into a deep model that its owner can defend."""

__version__ = "0.1.0"
