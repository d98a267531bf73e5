"""From labelled examples to a published model revision. The only package that imports torch."""
