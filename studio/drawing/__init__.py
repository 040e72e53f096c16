"""What every capability that draws shares."""
