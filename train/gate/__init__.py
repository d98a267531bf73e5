"""The gate: may a challenger take the champion's place?"""
