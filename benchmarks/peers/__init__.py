"""What a user would otherwise pick: each a program of its own, started and measured beside this project."""
