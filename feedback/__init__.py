"""From a press of the button to rows in a data set: the journal, its rows, and their way out."""
