"""Methods that search a chain for one sample, or one chain for all samples."""
