"""humanmade: tell human-made pictures from generated ones."""

__version__ = "0.1.0"
