"""A run as Python's own XML-RPC client sees it: WALK URL READ_URL. Each step's name is printed when it is done."""

import datetime
import json
import sys
import threading
import time
import xmlrpc.client

WALK, URL, READ_URL = sys.argv[1:4]

NAMES, CALLED = set(), set()


class Run:
    """A server proxy that remembers what was called."""

    def __init__(self, url):
        self.proxy = xmlrpc.client.ServerProxy(url, allow_none=True)

    def __getattr__(self, name):
        CALLED.add(name)
        return getattr(self.proxy, name)


def fault(call, *words):
    """Calls what must be refused; the words stand in why."""
    try:
        got = call()
    except xmlrpc.client.Fault as refused:
        for word in words:
            assert word in refused.faultString, f"{word!r} is not in {refused.faultString!r}"
        return refused.faultCode
    raise AssertionError(f"no fault, but {got!r}")


def until(what, holds):
    for _ in range(6000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError(f"never came: {what}")


def standing(run):
    return dict(map(tuple, run.getRunningTests()))


def pause(run):
    return next(test["pause"] for test in json.loads(run.listTests()) if test["tag"] == "fails")


def introspection(run):
    names = run.proxy.system.listMethods()
    NAMES.update(names)
    for name in ["getRunningTests", "setRunningStatus", "xmlrpcLogger", "evaluate"]:
        assert name in names, names
    assert "(tag, status)" in run.proxy.system.methodHelp("setRunningStatus")
    assert run.proxy.system.methodSignature("abortRun") == "signatures not supported"
    fault(lambda: run.proxy.system.methodHelp("setRuningStatus"), "setRunningStatus")
    assert fault(lambda: run.proxy.getRunningTest(), "no method", "getRunningTests") == -32601
    fault(lambda: run.proxy.xmlrpcShell("1 + 1"), "--attach")


def values(run):
    when = datetime.datetime(2026, 11, 23, 4, 28, 1)
    for value in [1, -5, 2**31 - 1, True, 1.5, "größe <&> \t\n", "", [], [1, ["a", {}]], {"a": {"b": [1]}}]:
        assert run.xmlrpcEcho(value) == value, value
    assert run.xmlrpcEcho(xmlrpc.client.Binary(bytes(range(256)))).data == bytes(range(256))
    assert run.xmlrpcEcho(xmlrpc.client.DateTime(when)) == xmlrpc.client.DateTime(when)
    assert run.xmlrpcNop() is True
    assert fault(lambda: run.xmlrpcEcho(), "argument 1 is missing") == -32602
    assert fault(lambda: run.xmlrpcNop(1), "arguments") == -32602


def looking(run):
    until("both have begun", lambda: standing(run) == {"fails": "Paused", "waits": "Started"})
    listed = {test["tag"]: test for test in json.loads(run.listTests())}
    assert listed["fails"]["pause"]["reason"] == "failed: broken", listed
    assert listed["fails"]["pause"]["place"]["file"].endswith("fails.rhai"), listed
    assert listed["fails"]["pause"]["until"] > listed["fails"]["paused_since"], listed
    assert listed["waits"].get("pause") is None, listed
    assert any("broken" in line for line in run.xmlrpcLogger()), run.xmlrpcLogger()
    last = run.getLastEvent()
    events = json.loads(run.getEvents(last - 1))
    assert events[0]["seq"] == last, (last, events)
    assert len(json.loads(run.getEvents(0))) >= last
    stacks = {stack["tag"]: stack for stack in json.loads(run.getStacks())}
    assert stacks["waits"]["frames"][-1][0] == "run", stacks
    assert stacks["waits"]["frames"][-1][1]["line"] == 2, stacks


def machines(run):
    assert run.getGuestList() == ["local"], run.getGuestList()
    name, ip, vcpus, memory, distro, uuid = run.getGuestInfo("local")
    assert (name, uuid) == ("local", "UNKNOWN"), (name, uuid)
    assert vcpus > 0 and memory > 0, (vcpus, memory)
    assert run.getHostList() == [], run.getHostList()
    fault(lambda: run.getGuestInfo("nobody"), "nobody")
    fault(lambda: run.getHostInfo("nobody"))
    with open(__file__, "rb") as own:
        assert run.getGuestFile("local", __import__("os").path.abspath(__file__)).data == own.read()
    fault(lambda: run.getGuestFile("local", "/no/such/file"), "/no/such/file")


def variables(run):
    assert run.setConfigVariable("A/B", "one") is True
    assert run.setConfigVariable(["A", "C"], 2) is True
    assert run.setConfigVariable("ROOT_PASSWORD", "hidden-9347") is True
    dumped = run.dumpConfig()
    assert "A_B='one'\n" in dumped and "A_C='2'\n" in dumped, dumped
    assert "hidden-9347" not in dumped, dumped
    assert fault(lambda: run.setConfigVariable({}, "x"), "expected a name") == -32602
    fault(lambda: run.setConfigVariable("A"), "argument 2 is missing")


def prompting(run):
    frames = json.loads(run.getFrames("fails"))
    assert [frame["function"] for frame in frames["frames"]] == ["run"], frames
    assert {"name": "depth", "value": "7"} in frames["frames"][0]["locals"], frames
    offered = json.loads(run.complete("fails", 0, "dep", 3))
    assert [one["text"] for one in offered] == ["depth"], offered
    assert "48" in run.evaluate("fails", 0, "depth * 6 + 6", "t1")
    fault(lambda: run.complete("fails", 0, "ü", 1), "middle of a character")
    fault(lambda: run.evaluate("waits", 0, "1", "t2"), "not paused")
    answers = []
    other = Run(URL)
    thread = threading.Thread(target=lambda: answers.append(other.evaluate("fails", 0, "loop {}", "t3")))
    thread.start()
    until("it is evaluated", lambda: run.interrupt("t3"))
    thread.join(30)
    assert "stopped" in answers[0], answers
    assert run.interrupt("t3") is False


def many_at_once(run):
    many = xmlrpc.client.MultiCall(run.proxy)
    many.getRunningTests()
    many.xmlrpcEcho("two")
    many.setRunningStatus("nosuch", "Continue")
    many.xmlrpcNop()
    results = many()
    assert results[0] and results[1] == "two" and results[3] is True
    fault(lambda: results[2], "no testcase `nosuch`")
    within = run.proxy.system.multicall([{"methodName": "system.multicall", "params": [[]]}])
    assert "within itself" in within[0]["faultString"], within


def steering(run):
    fault(lambda: run.setRunningStatus("fail", "Continue"), "no testcase `fail`", "fails")
    fault(lambda: run.setRunningStatus("fails", "Started"), "expected Continue")
    fault(lambda: run.setRunningStatus("fails", 1), "a text")
    fault(lambda: run.setRunningStatus("waits", "Continue"), "`waits` is not paused, but Started")
    fault(lambda: run.setRunningStatus("never", "Continue"), "`never` is not paused")
    assert run.setRunningStatus("fails", "Indefinite") is True
    assert standing(run)["fails"] == "Indefinite"
    assert pause(run).get("until") is None
    assert run.setBlockingStatus("fails", False) is True
    fault(lambda: run.setTestResult("fails", 6), "6 is no result")
    assert run.setTestResult("fails", 3) is True
    assert run.pauseNext() is True
    assert run.flushLogs() is True
    assert run.abortRun() is True
    assert run.releaseTests("Continue") == ["fails"]
    fault(lambda: run.releaseTests("Indefinite"), "expected")
    until("it is the next that ends", lambda: standing(run)["fails"] == "Paused")
    assert "asked for it" in pause(run)["reason"], run.listTests()
    assert run.setRunningStatus("fails", "NotContinue") is True
    until("it ends", lambda: standing(run)["fails"] == "Finished")
    fault(lambda: run.setRunningStatus("fails", "Continue"), "not paused, but Finished")
    fault(lambda: run.killTest("nosuch"), "no testcase")
    # With this nothing runs any more, and the run is over.
    assert run.killTest("waits") is True


def every_method(_):
    """Until here, each of them was called."""
    missing = NAMES - CALLED
    assert not missing, missing


def read_only(_):
    """The token that may only look: whatever changes something is refused, and changes nothing."""
    look, steer = Run(READ_URL), Run(URL)
    assert look.getRunningTests() == steer.getRunningTests()
    assert look.xmlrpcEcho(1) == 1 and look.xmlrpcLogger() and look.getFrames("fails")
    calls = {
        "setRunningStatus": ("fails", "Continue"),
        "setBlockingStatus": ("fails", False),
        "setTestResult": ("fails", 1),
        "setConfigVariable": ("A", "x"),
        "abortRun": (),
        "flushLogs": (),
        "getGuestFile": ("local", "/etc/hostname"),
        "evaluate": ("fails", 0, "1", "t"),
        "interrupt": ("t",),
        "releaseTests": ("Continue",),
        "killTest": ("fails",),
        "pauseNext": (),
    }
    for name, arguments in calls.items():
        assert fault(lambda: getattr(look, name)(*arguments), "may only look") == 403, name
    many = xmlrpc.client.MultiCall(look.proxy)
    many.abortRun()
    fault(lambda: many()[0], "may only look")
    assert standing(steer)["fails"] == "Paused"
    told = [e for e in json.loads(steer.getEvents(0)) if "steered" in str(e).lower()]
    assert not told, told


def wrong_token(_):
    at = URL.rsplit("@", 1)[1]
    token = URL.split("://xrt:")[1].split("@")[0]
    for login in ["", "xrt@", "xrt:@", "xrt:wrong@", f"xrt:{token[:-1]}@", f"xrt:{token}x@", f"{token}:xrt@"]:
        try:
            xmlrpc.client.ServerProxy(f"http://{login}{at}").xmlrpcNop()
        except xmlrpc.client.ProtocolError as refused:
            assert refused.errcode == 401, refused
        else:
            raise AssertionError(f"{login} was let in")


WALKS = {
    "all": [introspection, values, looking, machines, variables, prompting, many_at_once, steering, every_method],
    "tokens": [wrong_token, read_only],
}

for step in WALKS[WALK]:
    step(Run(URL))
    print(step.__name__, flush=True)
