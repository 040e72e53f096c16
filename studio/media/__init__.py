"""Pictures and clips as bytes."""
