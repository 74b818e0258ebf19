"""What every test of the project shares."""
