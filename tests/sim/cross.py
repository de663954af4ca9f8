"""VMs that go from one simulated pool to another with their disks, with the XenAPI package of PyPI."""

from door import login, refused


def other_pool(xapi):
    """The pool of host3, the spare one."""
    head, _, last = xapi.host.get_address(xapi.host.get_by_name_label("host1")[0]).rpartition(".")
    return login("%s.%d" % (head, int(last) + 2))


def ticket(there):
    host = there.host.get_all()[0]
    nic = next(p for p in there.host.get_PIFs(host) if there.PIF.get_management(p))
    return there.host.migrate_receive(host, there.PIF.get_network(nic), {})


def maps(xapi, vm, there):
    """All disks to the local SR there, all interfaces to the network of eth0 there."""
    sr = next(s for s, r in there.SR.get_all_records().items() if r["type"] == "ext")
    network = next(n for n, r in there.network.get_all_records().items() if r["bridge"] == "xenbr0")
    vbds = [xapi.VBD.get_record(vbd) for vbd in xapi.VM.get_VBDs(vm)]
    return {vbd["VDI"]: sr for vbd in vbds if vbd["type"] == "Disk"}, {vif: network for vif in xapi.VM.get_VIFs(vm)}, sr


def refusals():
    xapi = login()
    there = other_pool(xapi)
    vm = xapi.VM.get_by_name_label("guest1")[0]
    disks, vifs, sr = maps(xapi, vm, there)
    dest = ticket(there)
    assert sorted(dest) == ["SM", "host", "master", "session_id", "xenops"], dest
    send, ask = xapi.VM.migrate_send, xapi.VM.assert_can_migrate
    for call in (send, ask):
        refused("VIF_NOT_IN_MAP", call, vm, dest, True, disks, {}, {})
        refused("VDI_NOT_IN_MAP", call, vm, dest, True, {}, vifs, {})
        refused("VM_BAD_POWER_STATE", call, vm, dest, False, disks, vifs, {})
        refused("VM_BAD_POWER_STATE", call, vm, dest, True, disks, vifs, {"copy": "true"})
        refused("CANNOT_CONTACT_HOST", call, vm, dict(dest, master="https://10.99.99.99/"), True, disks, vifs, {})
        refused("HANDLE_INVALID", call, vm, dict(dest, host="OpaqueRef:none"), True, disks, vifs, {})
        refused("INTERNAL_ERROR", call, vm, {"host": dest["host"]}, True, disks, vifs, {})
    # A task says it: the package logs in anew when a call does.
    task = xapi.Async.VM.migrate_send(vm, dict(dest, session_id="OpaqueRef:none"), True, disks, vifs, {})
    assert xapi.task.get_error_info(task) == ["SESSION_INVALID", "OpaqueRef:none"], xapi.task.get_record(task)
    # Within a pool nothing is mapped but disks.
    here = ticket(xapi)
    refused("NOT_IMPLEMENTED", send, vm, here, True, {}, {vif: next(iter(vifs.values())) for vif in vifs}, {})
    there.host.disable(there.host.get_all()[0])
    refused("HOST_DISABLED", ask, vm, dest, True, disks, vifs, {})
    there.host.enable(there.host.get_all()[0])
    there.SR.set_name_label(sr, "Spare storage")
    there.simulator.trouble("fill:Spare storage")
    refused("SR_FULL", ask, vm, dest, True, disks, vifs, {})
    there.simulator.clear()
    for vdi in there.SR.get_VDIs(sr):
        there.VDI.destroy(vdi)
    ask(vm, dest, True, disks, vifs, {})
    assert xapi.VM.get_power_state(vm) == "Running" and not there.VM.get_by_name_label("guest1")


def live():
    xapi = login()
    there = other_pool(xapi)
    vm = xapi.VM.get_by_name_label("guest1")[0]
    snapshot = xapi.VM.snapshot(vm, "before", [])
    disks, vifs, sr = maps(xapi, vm, there)
    before, mac = xapi.VM.get_record(vm), xapi.VIF.get_MAC(xapi.VM.get_VIFs(vm)[0])
    home = xapi.VDI.get_SR(next(iter(disks)))
    used = int(xapi.SR.get_physical_utilisation(home))
    token = getattr(xapi.event, "from")(["vm"], "", 0.0)["token"]
    new = xapi.VM.migrate_send(vm, ticket(there), True, disks, vifs, {})
    refused("HANDLE_INVALID", xapi.VM.get_record, vm)
    refused("HANDLE_INVALID", xapi.VM.get_record, snapshot)
    refused("UUID_INVALID", xapi.VM.get_by_uuid, before["uuid"])
    gone = {e["ref"] for e in getattr(xapi.event, "from")(["vm"], token, 1.0)["events"] if e["operation"] == "del"}
    assert gone == {vm, snapshot}, gone
    assert all(not xapi.VDI.get_all_records_where('field "uuid" = "%s"' % vdi) for vdi in disks)
    assert int(xapi.SR.get_physical_utilisation(home)) < used
    record = there.VM.get_record(new)
    assert (record["uuid"], record["power_state"], record["name_label"]) == (before["uuid"], "Running", "guest1"), record
    assert record["resident_on"] == there.host.get_all()[0] and record["domid"] != before["domid"]
    assert there.VIF.get_MAC(record["VIFs"][0]) == mac and there.VIF.get_currently_attached(record["VIFs"][0])
    kept = [there.VBD.get_record(vbd) for vbd in record["VBDs"]]
    assert all(there.VDI.get_SR(vbd["VDI"]) == sr and vbd["currently_attached"] for vbd in kept if vbd["type"] == "Disk"), kept
    assert there.VM_guest_metrics.get_networks(record["guest_metrics"])["0/ip"]
    moved = there.VM.get_by_name_label("before")[0]
    assert there.VM.get_snapshot_of(moved) == new and record["snapshots"] == [moved]
    disk = there.VBD.get_VDI(there.VM.get_VBDs(moved)[0])
    assert there.VDI.get_is_a_snapshot(disk) and there.VDI.get_snapshot_of(disk) in [vbd["VDI"] for vbd in kept]
    there.VM.destroy(moved)
    there.VDI.destroy(disk)


def halted_suspended_and_copies():
    xapi = login()
    there = other_pool(xapi)
    vm = there.VM.get_by_name_label("guest1")[0]
    there.VM.suspend(vm)
    disks = {there.VBD.get_VDI(b): xapi.pool.get_default_SR(xapi.pool.get_all()[0]) for b in there.VM.get_VBDs(vm)
             if there.VBD.get_type(b) == "Disk"}
    network = next(n for n, r in xapi.network.get_all_records().items() if r["bridge"] == "xenbr0")
    vm = there.VM.migrate_send(vm, ticket(xapi), True, disks, {vif: network for vif in there.VM.get_VIFs(vm)}, {})
    assert xapi.VM.get_power_state(vm) == "Suspended" and xapi.VDI.get_type(xapi.VM.get_suspend_VDI(vm)) == "suspend"
    assert not there.SR.get_VDIs(there.SR.get_by_name_label("Spare storage")[0])
    xapi.VM.resume(vm, False, False)
    xapi.VM.hard_shutdown(vm)
    disks, vifs, sr = maps(xapi, vm, there)
    copy = xapi.VM.migrate_send(vm, ticket(there), False, disks, vifs, {"copy": "true"})
    assert xapi.VM.get_power_state(vm) == "Halted" and there.VM.get_uuid(copy) != xapi.VM.get_uuid(vm)
    assert there.VIF.get_MAC(there.VM.get_VIFs(copy)[0]) != xapi.VIF.get_MAC(xapi.VM.get_VIFs(vm)[0])
    there.VM.start(copy, False, False)
    assert there.VM.get_guest_metrics(copy) != "OpaqueRef:NULL"
    there.VM.hard_shutdown(copy)
    there.VM.destroy(copy)
    for vdi in there.SR.get_VDIs(sr):
        there.VDI.destroy(vdi)
    xapi.VM.start(vm, False, False)


def within_the_pool():
    xapi = login()
    vm = xapi.VM.get_by_name_label("guest1")[0]
    host = next(h for h in xapi.host.get_all() if h != xapi.VM.get_resident_on(vm))
    nic = next(p for p in xapi.host.get_PIFs(host) if xapi.PIF.get_management(p))
    local = next(xapi.PBD.get_SR(p) for p in xapi.host.get_PBDs(host) if xapi.SR.get_type(xapi.PBD.get_SR(p)) == "ext")
    disk = next(xapi.VBD.get_VDI(b) for b in xapi.VM.get_VBDs(vm) if xapi.VBD.get_type(b) == "Disk")
    shared = xapi.VDI.get_SR(disk)
    dest = xapi.host.migrate_receive(host, xapi.PIF.get_network(nic), {})
    assert xapi.VM.migrate_send(vm, dest, True, {disk: local}, {}, {}) == vm
    refused("HANDLE_INVALID", xapi.VDI.get_record, disk)
    disk = next(xapi.VBD.get_VDI(b) for b in xapi.VM.get_VBDs(vm) if xapi.VBD.get_type(b) == "Disk")
    assert xapi.VDI.get_SR(disk) == local and xapi.VM.get_resident_on(vm) == host
    disk = xapi.VDI.pool_migrate(disk, shared, {})
    assert xapi.VDI.get_SR(disk) == shared


for walk in (refusals, live, halted_suspended_and_copies, within_the_pool):
    walk()
    print(walk.__name__, flush=True)
