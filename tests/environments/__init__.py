"""What is done in environments of their own: the lowest versions, other libraries, what is built for a package index."""
