"""One file a family of checkpoints: recognises its folders, and rebuilds the net from the files alone."""
