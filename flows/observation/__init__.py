"""What a run tells others: OpenLineage events, OpenTelemetry spans and metrics, if configured"""
