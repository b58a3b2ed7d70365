"""The writer of the documentation site: `python -m docs.site`.

The pages are the repository's own Markdown files. This package copies them to `build/pages`, turns links that leave
`docs/` into links within the site, adds the reference, which is written from the settings and docstrings, and lets
Zensical build `build/site` with every warning an error.
"""
