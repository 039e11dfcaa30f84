"""Notifications of a bucket become events; what the server did not take comes again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from examples import bucket_events
from examples.bucket_events import addresses, pass_on
from polyseme.flows.events import SendError
from tests.buckets import Bucket

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_events, "WAIT_SECONDS", 1)


def notifying(bucket: Bucket) -> tuple[Any, str]:
    """Return a queue that gets the notifications of a bucket, and its address."""
    import boto3

    queue = boto3.client("sqs")
    url = queue.create_queue(QueueName=bucket.name, Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    arn = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bucket.client.put_bucket_notification_configuration(
        Bucket=bucket.name,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    return queue, url


def test_a_notification_that_a_topic_passed_on_is_about_the_same_objects() -> None:
    notification = json.dumps({"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "news/a+b.txt"}}}]})
    passed_on = json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:::t", "Message": notification})
    assert addresses(passed_on) == addresses(notification) == ["s3://b/news/a%20b.txt"]
    assert addresses(json.dumps({"Type": "Notification", "Message": "no JSON"})) == []


def test_an_object_that_arrives_is_an_event_once_the_server_has_it(bucket: Bucket) -> None:
    queue, url = notifying(bucket)
    bucket.put({"news/a b.txt": b"A text."})
    sent: list[dict[str, Any]] = []

    def away(events: Sequence[dict[str, Any]]) -> None:
        sent.extend(events)
        raise SendError("connection refused")

    with pytest.raises(SendError):
        pass_on(queue, url, "news", away)
    assert pass_on(queue, url, "news", sent.extend) == 1
    assert pass_on(queue, url, "news", sent.extend) == 0
    first, again = sent
    assert first["id"] == again["id"]
    assert first["payload"]["uris"] == (f"s3://{bucket.name}/news/a%20b.txt",)
    assert first["resource"] == {"prefect.resource.id": "polyseme.corpus.news"}


def test_a_corpus_that_is_not_configured_is_told_before_a_message_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "polyseme.toml").write_text('[corpus.news]\nsources = ["news"]\nlake = "lake"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        bucket_events.main(["https://sqs.example.org/1/q", "nwes"])
    assert "nwes" in capsys.readouterr().err


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", '{"Event": "s3:TestEvent"}', '{"Records": [{"s3": 1}]}'])
def test_a_message_about_no_object_is_passed_by(body: str) -> None:
    assert addresses(body) == []


def test_keys_come_as_forms_have_them() -> None:
    record = {"s3": {"bucket": {"name": "b"}, "object": {"key": "in/a+b%2B1.txt"}}}
    assert addresses(json.dumps({"Records": [record]})) == ["s3://b/in/a%20b%2B1.txt"]
