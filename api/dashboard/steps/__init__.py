"""Step buttons and their forms, made from what the API says of itself: what a step is given stands in its route and nowhere else."""
