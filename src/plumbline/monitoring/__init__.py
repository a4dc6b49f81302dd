"""What was served, window by window, against what the version was trained on."""
