"""The consent gate, retries, and the multipart request.

`consent` decides, `delivery` goes through the spool, `sender` does one request. Nothing else in
the project sends anything from a user's machine.
"""
