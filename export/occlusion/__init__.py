"""How the shipped net that sees what lies in front of a face was taught, on synthetic people (needs PyTorch)."""
