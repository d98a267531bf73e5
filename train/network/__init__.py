"""Networks: creation, training, inference and export."""
