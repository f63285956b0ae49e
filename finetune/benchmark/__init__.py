"""`finetune bench`: this project's training step against those that people would use instead, on the same work."""
