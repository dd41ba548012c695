"""What produces embedders: the backbone's own responses, the teachers' targets, and one trainer a method."""
