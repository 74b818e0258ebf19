"""A layer with all its numbers: values, Keras' configurations, results, errors and the file
format."""
