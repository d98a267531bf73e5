"""Write, amend and describe a model folder."""
