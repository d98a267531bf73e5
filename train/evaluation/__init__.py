"""How good a model is: metrics, slices, reports and plots."""
