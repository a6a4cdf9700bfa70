"""What rules bring to their targets, through a real broker: inputs as EventBridge makes them, other buses, groups that
stand in the event, and dead letters that say by EventBridge's names why."""
import json
import re

import pytest
from lib.mangabus_broker import TOPOLOGY
from lib.mangabus_client import BusError, event, pack, unpack

DETAIL = {"isbn": "9784088725093", "stock": 42, "price": 4.5, "on": True, "old": None, "quoted": 'say "hi"', "text": "漫画",
          "items": [{"code": "TYO", "n": 1}, {"code": "OSA", "n": 2}], "states": ["ACTIVE", "INACTIVE"],
          "acc": {"acc_id": "0a787ecb-4015", "sf_id": "baz"}}
PATHS = {"isbn": "$.detail.isbn", "stock": "$.detail.stock", "price": "$.detail.price", "on": "$.detail.on",
         "old": "$.detail.old", "quoted": "$.detail.quoted", "text": "$.detail.text", "items": "$.detail.items",
         "states": "$.detail.states", "acc": "$.detail.acc", "second": "$.detail.items[1].code", "source": "$.source",
         "type": "$.detail-type", "resource": "$.resources[0]", "missing": "$.detail.nowhere"}


def transformer(template):
    return {"InputTransformer": {"InputPathsMap": PATHS, "InputTemplate": template}}


# name: (what the target says, what its queue receives)
INPUTS = {
    "the event itself": ({}, lambda e: e),
    "Input as a text": ({"Input": '{"job": [1, null]}'}, {"job": [1, None]}),
    "Input as JSON": ({"Input": {"job": [1, None]}}, {"job": [1, None]}),
    "InputPath of a text": ({"InputPath": "$.detail.isbn"}, "9784088725093"),
    "InputPath of an object": ({"InputPath": "$.detail.acc"}, DETAIL["acc"]),
    "InputPath of an element": ({"InputPath": "$.detail.items[1].n"}, 2),
    "InputPath of the event": ({"InputPath": "$"}, lambda e: e),
    "InputPath of a field with a dash": ({"InputPath": "$.detail-type"}, "stock"),
    "values outside quotes are JSON": (
        transformer('{"isbn": <isbn>, "n": <stock>, "p": <price>, "on": <on>, "old": <old>, "items": <items>}'),
        {"isbn": DETAIL["isbn"], "n": 42, "p": 4.5, "on": True, "old": None, "items": DETAIL["items"]}),
    "values inside quotes are text": (
        transformer('"<text> <isbn> has <stock> at <price>, <on>, in <second>, from <source> <type> <resource>"'),
        "漫画 9784088725093 has 42 at 4.5, true, in OSA, from test stock r-1"),
    "an object inside quotes loses its quotes": (transformer('"<acc>"'), "{acc_id:0a787ecb-4015,sf_id:baz}"),
    "a list inside quotes loses its quotes": (transformer('"<states>"'), "[ACTIVE,INACTIVE]"),
    "what a path does not find is empty outside quotes": (transformer('{"a": <missing>, "b": 1}'), {"a": "", "b": 1}),
    "and nothing inside them": (transformer('"[<missing>]"'), "[]"),
    "a text inside quotes is not escaped": (transformer('{"a": "<quoted>"}'), '{"a": "say "hi""}'),
    "a text outside quotes is whole": (transformer('{"a": <quoted>}'), {"a": 'say "hi"'}),
    "what is no placeholder stays": (transformer('"1 < 2 and 3 > 2"'), "1 < 2 and 3 > 2"),
    "the rule's name": (transformer('"<aws.events.rule-name>"'), "rule-name"),
    "the rule's ARN": (transformer('{"arn": <aws.events.rule-arn>}'),
                       lambda e: {"arn": f"arn:aws:events:{e['region']}:{e['account']}:rule/demo/rule-arn"}),
    "the event's JSON": (transformer('{"all": <aws.events.event.json>}'), lambda e: {"all": e}),
    "the event without its detail, where its type has another name": (
        transformer('{"head": <aws.events.event>}'),
        lambda e: {"head": {("detailType" if k == "detail-type" else k): v for k, v in e.items() if k != "detail"}}),
}


def rule_name(case):
    return {"the rule's name": "rule-name", "the rule's ARN": "rule-arn"}.get(case, re.sub("[^a-zA-Z]+", "-", case))


def test_each_target_receives_what_eventbridge_would_make_of_the_event(make_broker):
    queues = {case: f"in-{n}" for n, case in enumerate(INPUTS)}
    rules = [{"Name": rule_name(case), "EventBusName": "demo", "EventPattern": {"detail-type": ["stock"]},
              "Targets": [{"Id": "t", "Arn": queues[case], **said}]} for case, (said, _) in INPUTS.items()]
    client = make_broker(topology={**TOPOLOGY, "Rules": rules, "Queues": [
        {"QueueName": name} for name in queues.values()]}).start().client()
    body = event("stock", DETAIL, resources=["r-1", "r-2"])
    client.publish("demo", body)
    for case, (_, wanted) in INPUTS.items():
        message, = client.receive(queues[case])
        assert unpack(message["body"]) == (wanted(unpack(body)) if callable(wanted) else wanted), case


def test_the_time_of_ingestion_is_the_brokers(make_broker):
    rule = {"Name": "r", "EventBusName": "demo", "EventPattern": {"detail-type": ["stock"]}, "Targets": [
        {"Id": "t", "Arn": "plain", **transformer('{"at": <aws.events.event.ingestion-time>}')}]}
    client = make_broker(topology={**TOPOLOGY, "Rules": [rule]}).start().client()
    client.publish("demo", event("stock"))
    message, = client.receive("plain")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", unpack(message["body"])["at"])


@pytest.mark.parametrize("target,said", [
    ({"Input": "{"}, "Input is not valid"),
    ({"Input": "1", "InputPath": "$"}, "Only one of Input, InputPath, or InputTransformer must be provided"),
    ({"InputPath": "detail"}, "InputPath"),
    (transformer('"<nowhere>"'), "InputTemplate for target t contains invalid placeholder nowhere"),
    (transformer('{<isbn>: 1}'), "placeholder"),
    ({"InputTransformer": {"InputPathsMap": {"a b": "$.x"}, "InputTemplate": '"<a b>"'}}, "InputPathsMap"),
    ({"InputTransformer": {"InputPathsMap": {}, "InputTemplate": ""}}, "InputTemplate"),
    ({"Input": "x" * 9000}, "8192"),
])
def test_a_wrong_input_is_refused_with_rule_and_target(client, target, said):
    rule = {"Name": "r", "EventBusName": "demo", "EventPattern": {"source": ["s"]},
            "Targets": [{"Id": "t", "Arn": "plain", **target}]}
    with pytest.raises(BusError) as refused:
        client.admin("TOPOLOGY", "apply", body=pack(json.dumps({**TOPOLOGY, "Rules": [rule]})))
    assert 'rule "r"' in str(refused.value) and said in str(refused.value)


# -- other buses, groups, dead letters --
def fan_out():
    return {**TOPOLOGY, "Rules": [
        {"Name": "on", "EventBusName": "demo", "EventPattern": {"detail-type": ["stock"]}, "Targets": [
            {"Id": "other", "Arn": "event-bus/other"},
            {"Id": "line", "Arn": "line.fifo", "SqsParameters": {"MessageGroupId": "$.detail.isbn"}}]},
        {"Name": "there", "EventBusName": "other", "EventPattern": {"source": ["test"]}, "Targets": [
            {"Id": "plain", "Arn": "plain"}, {"Id": "back", "Arn": "event-bus/demo"}]}],
        "Queues": [*TOPOLOGY["Queues"], {"QueueName": "dead.fifo"}, {"QueueName": "line.fifo", "Attributes": {
            "RedrivePolicy": {"deadLetterTargetArn": "dead.fifo", "maxReceiveCount": 2}}}]}


def test_an_event_passed_on_is_routed_and_heard_on_both_buses_once_also_after_a_crash(make_broker):
    broker = make_broker(topology=fan_out()).start()
    client = broker.client()
    sub = client.listen("other")
    record = client.publish("demo", event("stock", {"isbn": "97840"}))["record"]
    heard = client.deliveries(sub, 1)[0]
    assert heard["record"] == record
    broker.restart()
    client = broker.client()
    assert [m["record"] for m in client.receive("plain", most=10)] == [record]
    assert [(m["record"], m["group"]) for m in client.receive("line.fifo", most=10)] == [(record, "97840")]
    again = client.deliveries(client.listen("other", **{"from": record}), 1)[0]
    assert again["record"] == record and unpack(again["body"])["detail"] == {"isbn": "97840"}


def test_an_event_without_its_group_is_dead_lettered_by_eventbridges_names(make_broker):
    client = make_broker(topology=fan_out()).start().client()
    client.publish("demo", event("stock", {}))
    dead, = client.receive("dead.fifo")
    attrs = dead["attrs"]
    assert attrs["RULE_ARN"] == "arn:aws:events:local:000000000000:rule/demo/on"
    assert attrs["TARGET_ARN"] == "arn:aws:sqs:local:000000000000:line.fifo"
    assert attrs["ERROR_CODE"] == "EVENT_DOES_NOT_FIT" and "$.detail.isbn" in attrs["ERROR_MESSAGE"]
    assert attrs["RETRY_ATTEMPTS"] == 0 and "EXHAUSTED_RETRY_CONDITION" not in attrs
    assert unpack(dead["body"])["detail-type"] == "stock", "the event as it was"


def test_an_event_that_was_tried_too_often_says_so_by_eventbridges_names(make_broker):
    client = make_broker(topology=fan_out()).start().client()
    client.publish("demo", event("stock", {"isbn": "1"}))
    for _ in range(2):
        delivery, = client.receive("line.fifo")
        client.release(delivery)
    assert client.receive("line.fifo") == []
    dead, = client.receive("dead.fifo")
    assert dead["attrs"]["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert dead["attrs"]["TARGET_ARN"] == "arn:aws:sqs:local:000000000000:line.fifo"
    assert dead["attrs"]["RETRY_ATTEMPTS"] == 2
