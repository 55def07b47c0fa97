"""Where data come from and go: raw-data readers, image writers and synthetic scans."""
