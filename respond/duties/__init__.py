"""What is done at least once a year: articles 15, 21 and 25, and the reviews of access rights and of access to video."""
