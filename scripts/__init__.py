"""Scripts for maintainers: the shape of the code base, and the generated pages in docs/."""
