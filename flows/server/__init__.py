"""What a standing server needs: configured corpora, deployments, the watcher."""
