"""Pictures as arrays: decoding, views, degradations, augmentation and hashing."""
