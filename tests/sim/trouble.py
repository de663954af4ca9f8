"""Trouble on demand, time that passes, and tasks that are cancelled, with the XenAPI package of PyPI."""

import http.client
import time

from door import login, refused


def ended(xapi, task):
    """The record of a task once it is over."""
    token, end = "", time.time() + 60
    while time.time() < end:
        record = xapi.task.get_record(task)
        if record["status"] not in ("pending", "cancelling"):
            return record
        token = getattr(xapi.event, "from")(["task/" + task], token, 5.0)["token"]
    raise AssertionError("the task goes on")


def calls_that_fail():
    xapi = login()
    vm = xapi.VM.get_by_name_label("guest1")[0]
    refused("INVALID_VALUE", xapi.simulator.trouble, "explode:everything")
    refused("INVALID_VALUE", xapi.simulator.trouble, "kill:nobody")
    xapi.simulator.trouble("fail:VM.snapshot=SR_FULL/10/5,n=2")
    assert xapi.simulator.get_troubles() == ["fail:VM.snapshot=SR_FULL/10/5,n=2"]
    assert refused("SR_FULL", xapi.VM.snapshot, vm, "a") == ["SR_FULL", "10", "5"]
    record = ended(xapi, xapi.Async.VM.snapshot(vm, "b"))
    assert record["status"] == "failure" and record["error_info"] == ["SR_FULL", "10", "5"], record
    xapi.VM.destroy(xapi.VM.snapshot(vm, "c"))
    assert xapi.simulator.get_troubles() == []


def calls_that_are_lost():
    xapi = login()
    vm = xapi.VM.get_by_name_label("guest1")[0]
    # Python asks once more by itself.
    xapi.simulator.trouble("drop:VM.set_name_description,n=2")
    try:
        xapi.VM.set_name_description(vm, "it arrived")
        raise AssertionError("an answer came")
    except (http.client.HTTPException, OSError):
        pass
    assert xapi.VM.get_name_description(vm) == "it arrived"


def calls_that_take_long():
    xapi = login()
    xapi.simulator.trouble("delay:VM.get_all=10s")
    began = time.time()
    xapi.VM.get_all()
    # Ten seconds of the simulator's, twenty times as fast.
    assert time.time() - began >= 0.4


def tasks_that_are_cancelled():
    xapi = login()
    vm = xapi.VM.get_by_name_label("guest2")[0]
    task = xapi.Async.VM.suspend(vm)
    assert xapi.VM.get_current_operations(vm) == {task: "suspend"}
    refused("OTHER_OPERATION_IN_PROGRESS", xapi.VM.pause, vm)
    assert "cancel" in xapi.task.get_allowed_operations(task)
    xapi.task.cancel(task)
    record = ended(xapi, task)
    assert record["status"] == "cancelled" and record["error_info"] == ["TASK_CANCELLED", task], record
    assert xapi.VM.get_current_operations(vm) == {} and xapi.VM.get_power_state(vm) == "Running"
    refused("OPERATION_NOT_ALLOWED", xapi.task.cancel, task)
    task = xapi.Async.VM.suspend(vm)
    progress = set()
    token = ""
    while xapi.task.get_status(task) == "pending":
        batch = getattr(xapi.event, "from")(["task/" + task], token, 5.0)
        token = batch["token"]
        progress |= {e["snapshot"]["progress"] for e in batch["events"]}
    assert len(progress) > 2 and xapi.task.get_progress(task) == 1.0, progress
    assert xapi.VM.get_power_state(vm) == "Suspended"


def guests_that_die():
    xapi = login()
    vm = xapi.VM.get_by_name_label("guest1")[0]
    xapi.simulator.trouble("kill:guest1")
    assert xapi.VM.get_power_state(vm) == "Halted"
    xapi.VM.start(vm, False, False)
    # The domain is there, the guest in it is not yet.
    assert xapi.VM.get_guest_metrics(vm) == "OpaqueRef:NULL"
    refused("VM_LACKS_FEATURE", xapi.VM.clean_shutdown, vm)
    xapi.VM.hard_shutdown(vm)


for walk in (calls_that_fail, calls_that_are_lost, calls_that_take_long, tasks_that_are_cancelled, guests_that_die):
    walk()
    print(walk.__name__, flush=True)
