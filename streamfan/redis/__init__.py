"""What the Redis sink and those who read from Redis have in common: names, addresses, connections."""
