"""Requests over HTTP, and their responses as pieces of a reply.

In order: ``client`` sends, by way of ``proxies``; ``response`` owns what comes, ``framing`` cuts its bytes into
events, ``decode`` makes pieces of them.
"""
