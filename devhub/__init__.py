"""A hub on this machine: as much of the Hugging Face Hub's HTTP API as its client uses, over a folder."""
