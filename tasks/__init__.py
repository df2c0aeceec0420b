"""The Celery application and its tasks: ``celery -A tasks worker|beat|flower``.

Importing this package opens no connection and reads no environment; the first use of the
configuration does (see `tasks.app`).
"""

from tasks.app import app

__all__ = ["app"]
