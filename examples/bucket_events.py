"""Notifications of a bucket, from an SQS queue, as events that start a run: seconds after an object has arrived.

    python -m examples.bucket_events QUEUE_URL CORPUS

The bucket sends its notifications (`s3:ObjectCreated:*`, `s3:ObjectRemoved:*`) to the queue, or to a topic of SNS that
passes them on; the corpus is configured in `polyseme.toml`. A message is deleted once the Prefect server has its event,
so that nothing is lost while the server is away; one that comes twice is one event. Credentials and PREFECT_API_URL
come from the environment. Needs polyseme[s3].
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any
from urllib.parse import unquote_plus

from polyseme.flows.events import URIS_IN_AN_EVENT, SendError, SourceChanged, as_event, event_id, now, send
from polyseme.flows.server.corpora import chosen
from polyseme.storage.errors import UsageError
from polyseme.tasks.reading.object_store import ObjectStore

WAIT_SECONDS = 20
_MOST_MESSAGES = 10


def addresses(body: str) -> list[str]:
    """Return the addresses of the objects that a notification is about; none for a test message, or for another."""
    try:
        notified = json.loads(body)
        if isinstance(passed_on := notified.get("Message"), str):  # by a topic of SNS, as text
            notified = json.loads(passed_on)
        records = notified.get("Records", [])
        objects = [(record["s3"]["bucket"]["name"], record["s3"]["object"]["key"]) for record in records]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [ObjectStore("s3", bucket).uri(unquote_plus(key)) for bucket, key in objects]


def pass_on(queue: Any, url: str, corpus: str, deliver: Callable[[Sequence[dict[str, Any]]], None]) -> int:
    """Wait for messages, send one event about them, and delete them. Return how many objects it is about."""
    messages = queue.receive_message(
        QueueUrl=url, MaxNumberOfMessages=_MOST_MESSAGES, WaitTimeSeconds=WAIT_SECONDS
    ).get("Messages", [])
    uris = sorted({uri for message in messages for uri in addresses(message["Body"])})
    if uris:
        payload = SourceChanged(
            corpus=corpus, reason="files-settled", files=len(uris), uris=tuple(uris[:URIS_IN_AN_EVENT])
        )
        same = event_id(payload, "\0".join(sorted(message["MessageId"] for message in messages)))
        deliver([as_event(payload, occurred=now(), event_id=same)])
    for message in messages:
        if not addresses(message["Body"]):
            print(f"A message about no object, {message['MessageId']}, is deleted.", file=sys.stderr)
        queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return len(uris)


def main(arguments: Sequence[str] | None = None) -> None:
    """Pass on notifications until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queue", help="the address of the queue")
    parser.add_argument("corpus", help="its name in polyseme.toml")
    parser.add_argument("--messages", type=int, help="stop after so many rounds of messages")
    options = parser.parse_args(arguments)
    import botocore.session

    try:
        chosen([options.corpus])
    except UsageError as error:
        parser.error(str(error))
    queue = botocore.session.get_session().create_client("sqs")
    for _ in range(options.messages) if options.messages else count():
        try:
            if objects := pass_on(queue, options.queue, options.corpus, send):
                print(f"{options.corpus}: {objects} objects", file=sys.stderr)
        except SendError as error:  # the messages come again
            print(f"The Prefect server does not answer ({error}). Nothing is lost.", file=sys.stderr)


if __name__ == "__main__":
    main()
