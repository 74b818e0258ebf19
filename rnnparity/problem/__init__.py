"""A layer with all its numbers: values, Keras configurations, results, errors, the file format."""
