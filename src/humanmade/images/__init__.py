"""Pictures as arrays: decoding, views, degradations, augmentation and hashing."""

from humanmade.machine import keep_freed_memory

keep_freed_memory()
