"""What every capability that reads pictures shares."""
