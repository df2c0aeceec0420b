"""What goes with every file of our own pages."""

from __future__ import annotations

PAGE_HEADERS = {
    # A page needs nothing but itself: no other origin, no script but its own file.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
