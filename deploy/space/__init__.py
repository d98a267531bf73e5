"""The Hugging Face Space that `Spacefile` describes."""
