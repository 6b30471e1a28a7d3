"""The dashboard: pages under `/ui` that show what the REST routes answer, and call nothing else.

The server renders each page's frame; small ES modules fill it from `/v1`. See `service.pages.shell` for adding a page.
"""
