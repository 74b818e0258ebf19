"""What is seen of a layer and of its halves, and when a claim about it becomes a finding."""
