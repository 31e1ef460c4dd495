"""From folders to rows: the table, its pictures, its folds, and batches of them."""
