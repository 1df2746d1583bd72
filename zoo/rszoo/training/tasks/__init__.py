"""What a network learns: one file per kind of task, and what they are made of."""
