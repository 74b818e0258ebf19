"""What is stored and read back: reports, runs of fuzz, histories."""
