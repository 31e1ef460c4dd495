"""Training: the loop, its checkpoints, its budget and the device it runs on."""
