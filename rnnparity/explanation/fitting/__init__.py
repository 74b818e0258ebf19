"""What a layer computes with other weights, and the weights that give actual numbers."""
