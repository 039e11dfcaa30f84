"""What one run needs: where shards are encoded, its progress, locks, report and lineage."""
