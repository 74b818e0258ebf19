"""What is printed: one module a command, and the sentences that they share."""
