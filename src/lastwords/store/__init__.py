"""The server's disk: blobs and index."""
