"""What a comparison of actual with expected outputs shows, without other runs of the layer."""
