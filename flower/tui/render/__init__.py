"""Text as cells: widths, wrapping, Markdown, themes, frames. Pure: everything in here.

In order: ``messages`` (the story as rows), ``markdown`` with ``inline``, ``text`` (cleaned, measured, wrapped) with
``cell_width`` (columns of an emoji), ``theme`` with ``style``, ``frame`` (rows of cells), ``layout`` (where things
are).
"""
