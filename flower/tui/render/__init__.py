"""Text as cells: widths, wrapping, Markdown, themes, frames. Pure: everything in here."""
