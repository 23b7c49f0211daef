"""What a hub is made of: one agenda, one timer, and a bounded number of polls in flight."""
