"""One file a runtime: each turns the bytes of a model into an Engine. Only these files import runtime libraries."""
