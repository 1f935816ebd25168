"""Every file format that is read or written."""
