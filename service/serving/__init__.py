"""What servers share, whatever they speak: settings, calls of the pool, bounds, logs, metrics."""
