"""The consent gate, retries, and the multipart request."""
