"""What is looked at in a spec before it runs."""
