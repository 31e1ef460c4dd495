"""Recipes measured side by side: what is run and scored (`measure`), and the table of it (`table`)."""
