"""Walks through a simulated pool with the XenAPI package of PyPI: over XML-RPC, as xe-like tools do."""

import time
import xmlrpc.client

import XenAPI

from door import enter, login, refused, url, user


def booted(xapi, vm):
    """Waits until the agent in a guest answers."""
    token, end = "", time.time() + 60
    while time.time() < end:
        metrics = xapi.VM.get_guest_metrics(vm)
        if metrics != "OpaqueRef:NULL" and xapi.VM_guest_metrics.get_live(metrics):
            return
        token = getattr(xapi.event, "from")(["vm"], token, 5.0)["token"]
    raise AssertionError("the guest has not booted")


def login_and_errors():
    refused("SESSION_AUTHENTICATION_FAILED", XenAPI.Session(url).xenapi.login_with_password, user, "wrong", "1.0", "tests")
    session = enter()
    xapi = session.xenapi
    guest = xapi.VM.get_by_name_label("guest1")[0]
    refused("MESSAGE_METHOD_UNKNOWN", xapi.VM.dance, guest)
    refused("MESSAGE_METHOD_UNKNOWN", xapi.Nothing.get_all)
    words = refused("MESSAGE_PARAMETER_COUNT_MISMATCH", xapi.VM.start, guest)
    assert words[1:] == ["VM.start", "4", "2"], words
    refused("FIELD_TYPE_ERROR", xapi.VM.start, guest, "no", False)
    refused("HANDLE_INVALID", xapi.VM.get_record, "OpaqueRef:c0ffee00-0000-0000-0000-000000000000")
    refused("HANDLE_INVALID", xapi.VM.get_record, xapi.host.get_all()[0])
    words = refused("UUID_INVALID", xapi.VM.get_by_uuid, "x")
    assert words == ["UUID_INVALID", "VM", "x"], words
    words = refused("VM_BAD_POWER_STATE", xapi.VM.start, guest, False, False)
    assert words == ["VM_BAD_POWER_STATE", guest, "halted", "running"], words
    template = xapi.VM.get_by_name_label("Debian Bookworm 12")[0]
    refused("VM_IS_TEMPLATE", xapi.VM.start, template, False, False)
    xapi.VM.add_to_other_config(guest, "key", "value")
    refused("MAP_DUPLICATE_KEY", xapi.VM.add_to_other_config, guest, "key", "again")
    xapi.VM.remove_from_other_config(guest, "key")
    refused("NOT_IMPLEMENTED", xapi.VM.get_data_sources, guest)
    token = session.handle
    xapi.session.logout()
    answer = xmlrpc.client.ServerProxy(url).VM.get_all(token)
    assert answer["ErrorDescription"] == ["SESSION_INVALID", token], answer


def listing():
    xapi = login()
    records = xapi.VM.get_all_records()
    guests = sorted(r["name_label"] for r in records.values() if not (r["is_a_template"] or r["is_control_domain"]))
    assert guests == ["guest1", "guest2"], guests
    guest = next(r for r in records.values() if r["name_label"] == "guest1")
    # Integers are strings in XML-RPC, booleans are not.
    assert guest["memory_static_max"] == str(512 << 20), guest["memory_static_max"]
    assert guest["is_a_template"] is False and isinstance(guest["snapshot_time"], xmlrpc.client.DateTime)
    assert "clean_shutdown" in guest["allowed_operations"] and "start" not in guest["allowed_operations"]
    found = xapi.VM.get_all_records_where('field "name__label" = "guest1" and field "is_a_template" = "false"')
    assert list(found.values()) == [guest], found
    assert xapi.VM_guest_metrics.get_record(guest["guest_metrics"])["networks"]["0/ip"].startswith("127.")
    hosts = xapi.host.get_all_records()
    assert sorted(h["name_label"] for h in hosts.values()) == ["host1", "host2"]
    for ref, host in hosts.items():
        metrics = xapi.host_metrics.get_record(host["metrics"])
        assert metrics["live"] and metrics["memory_free"] == xapi.host.compute_free_memory(ref)
        assert 0 < int(metrics["memory_free"]) < int(metrics["memory_total"])
    pool = xapi.pool.get_all_records()
    assert [hosts[p["master"]]["name_label"] for p in pool.values()] == ["host1"]
    # Every class that there is can be listed.
    for method in xapi.host.list_methods():
        if method.endswith(".get_all_records") and not method.startswith("event."):
            getattr(getattr(xapi, method.split(".")[0]), "get_all_records")()


def life_cycle():
    xapi = login()
    template = xapi.VM.get_by_name_label("xenrt-template-debian12-x86-64")[0]
    vm = xapi.VM.clone(template, "walker")
    xapi.VM.provision(vm)
    assert not xapi.VM.get_is_a_template(vm)
    size = str(100 << 30)
    refused("MEMORY_CONSTRAINT_VIOLATION", xapi.VM.set_memory_limits, vm, size, size, size, str(1 << 30))
    xapi.VM.set_memory_limits(vm, size, size, size, size)
    refused("NO_HOSTS_AVAILABLE", xapi.VM.start, vm, False, False)
    words = refused("HOST_NOT_ENOUGH_FREE_MEMORY", xapi.VM.start_on, vm, xapi.host.get_all()[0], False, False)
    assert int(words[1]) > int(words[2]) == int(xapi.host.compute_free_memory(xapi.host.get_all()[0])), words
    size = str(1 << 30)
    xapi.VM.set_memory_limits(vm, size, size, size, size)
    free = int(xapi.host.compute_free_memory(xapi.host.get_all()[0])) + int(xapi.host.compute_free_memory(xapi.host.get_all()[1]))
    xapi.VM.start(vm, False, False)
    left = sum(int(xapi.host.compute_free_memory(h)) for h in xapi.host.get_all())
    assert free - left == (1 << 30) + int(xapi.VM.get_memory_overhead(vm)), (free, left)
    assert xapi.VM.get_power_state(vm) == "Running"
    first = xapi.VM.get_domid(vm)
    booted(xapi, vm)
    xapi.VM.clean_reboot(vm)
    assert xapi.VM.get_domid(vm) != first
    booted(xapi, vm)
    xapi.VM.suspend(vm)
    image = xapi.VM.get_suspend_VDI(vm)
    assert xapi.VDI.get_type(image) == "suspend"
    xapi.VM.resume(vm, False, False)
    refused("HANDLE_INVALID", xapi.VDI.get_type, image)
    other = next(h for h in xapi.host.get_all() if h != xapi.VM.get_resident_on(vm))
    xapi.VM.pool_migrate(vm, other, {"live": "true"})
    assert xapi.VM.get_resident_on(vm) == other
    snapshot = xapi.VM.snapshot(vm, "before")
    assert xapi.VM.get_is_a_snapshot(snapshot) and xapi.VM.get_snapshots(vm) == [snapshot]
    refused("VM_IS_SNAPSHOT", xapi.VM.start, snapshot, False, False)
    xapi.VM.revert(snapshot)
    assert xapi.VM.get_power_state(vm) == "Halted"
    disks = [xapi.VBD.get_VDI(b) for v in (vm, snapshot) for b in xapi.VM.get_VBDs(v) if xapi.VBD.get_type(b) == "Disk"]
    assert len(set(disks)) == 2, disks
    xapi.VM.destroy(snapshot)
    xapi.VM.destroy(vm)
    for disk in disks:
        xapi.VDI.destroy(disk)
    refused("HANDLE_INVALID", xapi.VM.get_record, vm)


def disks():
    xapi = login()
    vm = xapi.VM.get_by_name_label("guest2")[0]
    sr = xapi.pool.get_default_SR(xapi.pool.get_all()[0])
    used = int(xapi.SR.get_virtual_allocation(sr))
    vdi = xapi.VDI.create({"SR": sr, "virtual_size": str(3 << 30), "type": "user", "sharable": False, "read_only": False,
                           "other_config": {}, "name_label": "extra", "name_description": ""})
    assert int(xapi.SR.get_virtual_allocation(sr)) == used + (3 << 30)
    record = {"VM": vm, "VDI": vdi, "userdevice": "1", "bootable": False, "mode": "RW", "type": "Disk", "empty": False,
              "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}
    refused("FIELD_TYPE_ERROR", xapi.VBD.create, {k: v for k, v in record.items() if k != "bootable"})
    vbd = xapi.VBD.create(record)
    words = refused("DEVICE_ALREADY_EXISTS", xapi.VBD.create, record)
    assert words[1] == "1", words
    xapi.VBD.plug(vbd)
    assert xapi.VBD.get_device(vbd) == "xvdb" and xapi.VBD.get_currently_attached(vbd)
    refused("DEVICE_ALREADY_ATTACHED", xapi.VBD.plug, vbd)
    refused("VDI_IN_USE", xapi.VDI.destroy, vdi)
    xapi.VBD.unplug(vbd)
    xapi.VBD.destroy(vbd)
    xapi.VDI.resize(vdi, str(4 << 30))
    assert xapi.VDI.get_virtual_size(vdi) == str(4 << 30)
    xapi.VDI.destroy(vdi)
    words = refused("SR_BACKEND_FAILURE_107", xapi.SR.create, xapi.host.get_all()[0], {"target": "t", "targetIQN": "iqn.a"}, "0", "i", "",
                    "lvmoiscsi", "user", True, {})
    assert len(words) == 4 and "<SCSIid>" in words[3], words


def tasks_and_events():
    session = enter()
    xapi = session.xenapi
    vm = xapi.VM.get_by_name_label("guest1")[0]
    call = getattr(xapi.event, "from")
    batch = call(["vm", "task"], "", 0.0)
    assert {e["class"] for e in batch["events"]} == {"vm"}, batch["events"][:1]
    assert isinstance(batch["valid_ref_counts"]["vm"], int)
    token = batch["token"]
    task = xapi.Async.VM.clean_reboot(vm)
    seen = []
    while not any(e["ref"] == task and e["snapshot"]["status"] == "success" for e in seen):
        batch = call(["task/" + task, "vm"], token, 5.0)
        assert batch["events"], "no event within five seconds"
        token, seen = batch["token"], seen + batch["events"]
    assert any(e["class"] == "vm" and e["operation"] == "mod" and e["ref"] == vm for e in seen)
    assert xapi.task.get_progress(task) == 1.0
    xapi.task.destroy(task)
    batch = call(["task"], token, 5.0)
    assert [(e["operation"], e["ref"]) for e in batch["events"]] == [("del", task)], batch
    failing = xapi.Async.VM.start(vm, False, False)
    while xapi.task.get_status(failing) == "pending":
        token = call(["task"], token, 5.0)["token"]
    record = xapi.task.get_record(failing)
    assert record["status"] == "failure" and record["error_info"][0] == "VM_BAD_POWER_STATE", record
    clone = xapi.Async.VM.snapshot(vm, "of a task", [])
    while xapi.task.get_status(clone) == "pending":
        token = call(["task"], token, 5.0)["token"]
    result = xapi.task.get_result(clone)
    assert result.startswith("<value>OpaqueRef:"), result
    refused("EVENT_FROM_TOKEN_PARSE_FAILURE", call, ["*"], "nonsense", 0.0)
    # Nothing happens: the limit is over, and that is no error.
    quiet = call(["vm"], "", 0.0)["token"]
    assert call(["sr"], quiet, 0.1)["events"] == []
    xapi.VM.destroy(result[len("<value>"):-len("</value>")])


for walk in (login_and_errors, listing, life_cycle, disks, tasks_and_events):
    walk()
    print(walk.__name__)
