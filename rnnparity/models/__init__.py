"""A user's saved model: its recurrent layers, each with the numbers that it really gets."""
