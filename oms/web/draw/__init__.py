"""Drawings made at the server as SVG: no script, no picture file, coloured by the page's style sheet alone."""
