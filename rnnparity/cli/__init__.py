"""The commands, a file each. Nothing heavy is imported before one needs it."""
