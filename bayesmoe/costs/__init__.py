"""What a model costs to train and to serve; knows nothing of laws or losses."""
