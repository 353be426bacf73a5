"""What one run needs around the Trainer: arguments, folder, lock, atomic files, checkpoints."""
