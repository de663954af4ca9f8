"""Hosts, pools, storage and networks of a simulated pool, with the XenAPI package of PyPI."""

import http.client
import time
import urllib.request

import XenAPI

from door import enter, login, password, refused, url, user


def until(what, look):
    end = time.time() + 30
    while time.time() < end:
        try:
            if look():
                return
        except (OSError, XenAPI.Failure):
            pass
        time.sleep(0.02)
    raise AssertionError("not within 30 s: %s" % what)


def evacuation():
    xapi = login()
    host1, host2 = (xapi.host.get_by_name_label(name)[0] for name in ("host1", "host2"))
    guest = xapi.VM.get_by_name_label("guest2")[0]
    assert xapi.VM.get_resident_on(guest) == host2
    refused("HOST_NOT_DISABLED", xapi.host.reboot, host2)
    xapi.host.disable(host2)
    words = refused("HOST_IN_USE", xapi.host.reboot, host2)
    assert words[3] == guest, words
    xapi.host.evacuate(host2)
    assert xapi.VM.get_resident_on(guest) == host1
    refused("HOST_DISABLED", xapi.VM.pool_migrate, guest, host2, {"live": "true"})
    xapi.host.reboot(host2)
    until("host2 enabled", lambda: xapi.host.get_enabled(host2) and xapi.host_metrics.get_live(xapi.host.get_metrics(host2)))
    xapi.VM.pool_migrate(guest, host2, {"live": "true"})


def members():
    xapi = login()
    host2 = xapi.host.get_by_name_label("host2")[0]
    address = xapi.host.get_address(host2)
    words = refused("HOST_IS_SLAVE", lambda: login(address))
    assert words[1] == xapi.host.get_address(xapi.pool.get_master(xapi.pool.get_all()[0])), words
    xapi.pool.designate_new_master(host2)
    other = login(address)
    assert other.pool.get_master(other.pool.get_all()[0]) == host2
    other.pool.designate_new_master(other.host.get_by_name_label("host1")[0])
    assert login().pool.get_all()


def join_and_eject():
    xapi = login()
    master = xapi.host.get_address(xapi.host.get_by_name_label("host1")[0])
    head, _, last = master.rpartition(".")
    address = "%s.%d" % (head, int(last) + 2)
    lone = login(address)
    assert [h["name_label"] for h in lone.host.get_all_records().values()] == ["host3"]
    uuid = lone.host.get_uuid(lone.host.get_all()[0])
    refused("SESSION_AUTHENTICATION_FAILED", lone.pool.join, master, user, "wrong")
    refused("JOINING_HOST_CONNECTION_FAILED", lone.pool.join, "127.0.0.2", user, password)
    lone.pool.join(master, user, password)
    until("host3 enabled", lambda: xapi.host.get_enabled(xapi.host.get_by_uuid(uuid)))
    host3 = xapi.host.get_by_uuid(uuid)
    shared = xapi.pool.get_default_SR(xapi.pool.get_all()[0])
    plugs = [xapi.PBD.get_record(p) for p in xapi.host.get_PBDs(host3)]
    assert any(p["SR"] == shared and p["currently_attached"] for p in plugs), plugs
    assert sum(1 for r in xapi.SR.get_all_records().values() if r["is_tools_sr"]) == 1
    assert len(xapi.PIF.get_all_records_where('field "management" = "true"')) == 3
    until("host3 is a member", lambda: refused("HOST_IS_SLAVE", lambda: login(address)))
    guest = xapi.VM.get_by_name_label("guest1")[0]
    home = xapi.VM.get_resident_on(guest)
    xapi.VM.pool_migrate(guest, host3, {})
    refused("HOST_HAS_RESIDENT_VMS", xapi.pool.eject, host3)
    xapi.VM.pool_migrate(guest, home, {})
    xapi.pool.eject(host3)
    refused("UUID_INVALID", xapi.host.get_by_uuid, uuid)
    until("host3 is alone", lambda: len(login(address).host.get_all()) == 1)


def loss_of_a_host():
    xapi = login()
    host2 = xapi.host.get_by_name_label("host2")[0]
    guest = xapi.VM.get_by_name_label("guest2")[0]
    xapi.simulator.trouble("power-off:host2")
    until("host2 is gone", lambda: not xapi.host_metrics.get_live(xapi.host.get_metrics(host2)))
    # Nobody knows what became of its guests.
    assert xapi.VM.get_power_state(guest) == "Running" and xapi.VM.get_resident_on(guest) == host2
    refused("HOST_OFFLINE", xapi.host.disable, host2)
    refused("HOST_IS_LIVE", xapi.host.declare_dead, xapi.VM.get_resident_on(xapi.VM.get_by_name_label("guest1")[0]))
    xapi.host.declare_dead(host2)
    assert xapi.VM.get_power_state(guest) == "Halted"
    xapi.VM.start(guest, False, False)
    assert xapi.VM.get_resident_on(guest) != host2
    xapi.host.power_on(host2)
    until("host2 is back", lambda: xapi.host.get_enabled(host2))
    xapi.VM.pool_migrate(guest, host2, {})


def high_availability():
    xapi = login()
    pool, host2 = xapi.pool.get_all()[0], xapi.host.get_by_name_label("host2")[0]
    guest = xapi.VM.get_by_name_label("guest2")[0]
    refused("HA_NOT_ENABLED", xapi.pool.disable_ha)
    xapi.VM.set_ha_restart_priority(guest, "restart")
    xapi.pool.enable_ha([xapi.pool.get_default_SR(pool)], {})
    assert xapi.pool.get_ha_enabled(pool) and int(xapi.pool.get_ha_host_failures_to_tolerate(pool)) == 1
    xapi.simulator.trouble("power-off:host2")
    until("guest2 elsewhere", lambda: xapi.VM.get_resident_on(guest) not in ("OpaqueRef:NULL", host2))
    xapi.host.power_on(host2)
    until("host2 is back", lambda: xapi.host.get_enabled(host2))
    xapi.pool.disable_ha()
    assert not xapi.VDI.get_all_records_where('field "type" = "ha_statefile"')


def storage():
    xapi = login()
    hosts = xapi.host.get_all()
    device = {"server": "filer2.sim", "serverpath": "/a"}
    sr = xapi.SR.create(hosts[0], device, "0", "second", "", "nfs", "user", True, {})
    plugs = xapi.SR.get_PBDs(sr)
    assert len(plugs) == len(hosts) and all(xapi.PBD.get_currently_attached(p) for p in plugs)
    vdi = xapi.VDI.create({"SR": sr, "virtual_size": str(1 << 30), "type": "user", "sharable": False, "read_only": False, "other_config": {},
                           "name_label": "kept"})
    uuid, disk = xapi.SR.get_uuid(sr), xapi.VDI.get_uuid(vdi)
    refused("SR_HAS_PBD", xapi.SR.forget, sr)
    for plug in plugs:
        xapi.PBD.unplug(plug)
    refused("SR_NOT_ATTACHED", xapi.SR.scan, sr)
    xapi.SR.forget(sr)
    assert uuid in xapi.SR.probe(hosts[0], device, "nfs", {})
    sr = xapi.SR.introduce(uuid, "again", "", "nfs", "user", True, {})
    for host in hosts:
        xapi.PBD.plug(xapi.PBD.create({"host": host, "SR": sr, "device_config": device}))
    xapi.SR.scan(sr)
    vdi = xapi.VDI.get_by_uuid(disk)
    assert xapi.VDI.get_name_label(vdi) == "kept"
    xapi.simulator.trouble("fill:again")
    refused("SR_BACKEND_FAILURE_44", xapi.VDI.create, {"SR": sr, "virtual_size": str(1 << 30), "type": "user", "sharable": False,
                                                       "read_only": False, "other_config": {}})
    for plug in xapi.SR.get_PBDs(sr):
        xapi.PBD.unplug(plug)
    refused("SR_BACKEND_FAILURE_39", xapi.SR.destroy, sr)
    for plug in xapi.SR.get_PBDs(sr):
        xapi.PBD.plug(plug)
    for vdi in xapi.SR.get_VDIs(sr):
        xapi.VDI.destroy(vdi)
    for plug in xapi.SR.get_PBDs(sr):
        xapi.PBD.unplug(plug)
    xapi.SR.destroy(sr)
    assert uuid not in xapi.SR.probe(hosts[0], device, "nfs", {})
    words = refused("SR_BACKEND_FAILURE_107", xapi.SR.create, hosts[0], {"target": "t", "targetIQN": "iqn.a"}, "0", "i", "", "lvmoiscsi", "user",
                    True, {})
    lun = words[3].split("<SCSIid>")[1].split("<")[0]
    device = {"target": "t", "targetIQN": "iqn.a", "SCSIid": lun}
    sr = xapi.SR.create(hosts[0], device, "0", "i", "", "lvmoiscsi", "user", True, {})
    refused("SR_BACKEND_FAILURE_16", xapi.SR.create, hosts[0], device, "0", "j", "", "lvmoiscsi", "user", True, {})
    for plug in xapi.SR.get_PBDs(sr):
        xapi.PBD.unplug(plug)
    xapi.SR.destroy(sr)


def copies_plugins_and_redirects():
    xapi = login()
    pool = xapi.pool.get_all()[0]
    shared = xapi.pool.get_default_SR(pool)
    record = {"SR": shared, "virtual_size": str(1 << 30), "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    small, large = xapi.VDI.create(record), xapi.VDI.create(dict(record, virtual_size=str(2 << 30)))
    refused("VDI_TOO_SMALL", xapi.VDI.copy, large, "OpaqueRef:NULL", "OpaqueRef:NULL", small)
    assert xapi.VDI.copy(small, "OpaqueRef:NULL", "OpaqueRef:NULL", large) == large
    for vdi in (small, large):
        xapi.VDI.destroy(vdi)
    host2 = xapi.host.get_by_name_label("host2")[0]
    assert xapi.host.call_plugin(host2, "echo", "main", {"a": "b"}) == "args were: {'a': 'b'}"
    assert refused("XENAPI_MISSING_PLUGIN", xapi.host.call_plugin, host2, "nothing", "main", {}) == ["XENAPI_MISSING_PLUGIN", "nothing"]
    refused("UNKNOWN_XENAPI_PLUGIN_FUNCTION", xapi.host.call_plugin, host2, "echo", "nothing", {})
    # What only host2 has is fetched from there.
    local = next(xapi.PBD.get_SR(p) for p in xapi.host.get_PBDs(host2) if xapi.SR.get_type(xapi.PBD.get_SR(p)) == "ext")
    guest = xapi.VM.get_by_name_label("guest2")[0]
    xapi.VM.hard_shutdown(guest)
    twin = xapi.VM.copy(guest, "twin", local)
    session = enter()

    def export(vm):
        line = http.client.HTTPConnection(url.split("//")[1])
        line.request("GET", "/export?session_id=%s&ref=%s" % (session.handle, vm))
        answer = line.getresponse()
        return answer.status, answer.getheader("Location"), answer.read()

    status, there, _ = export(twin)
    assert status == 302 and there.startswith("http://%s:" % xapi.host.get_address(host2)), (status, there)
    assert len(urllib.request.urlopen(there).read()) > 1024
    status, there, image = export(guest)
    assert (status, there) == (200, None) and len(image) > 1024
    xapi.VM.start(guest, False, False)


def networking():
    xapi = login()
    host = xapi.host.get_by_name_label("host1")[0]
    nics = {xapi.PIF.get_device(p): p for p in xapi.host.get_PIFs(host)}
    network = xapi.network.create({"name_label": "vlan", "name_description": "", "other_config": {}})
    refused("VLAN_TAG_INVALID", xapi.VLAN.create, nics["eth1"], "4095", network)
    vlan = xapi.VLAN.create(nics["eth1"], "77", network)
    refused("NETWORK_ALREADY_CONNECTED", xapi.VLAN.create, nics["eth1"], "78", network)
    refused("PIF_VLAN_EXISTS", xapi.VLAN.create, nics["eth1"], "77", xapi.network.create({"name_label": "x", "other_config": {}}))
    refused("NETWORK_CONTAINS_PIF", xapi.network.destroy, network)
    xapi.VLAN.destroy(vlan)
    xapi.network.destroy(network)
    network = xapi.network.create({"name_label": "bond", "name_description": "", "other_config": {}})
    refused("PIF_BOND_NEEDS_MORE_MEMBERS", xapi.Bond.create, network, [nics["eth2"]], "")
    other = xapi.host.get_by_name_label("host2")[0]
    across = next(p for p in xapi.host.get_PIFs(other) if xapi.PIF.get_device(p) == "eth2")
    refused("PIF_CANNOT_BOND_CROSS_HOST", xapi.Bond.create, network, [nics["eth2"], across], "")
    bond = xapi.Bond.create(network, [nics["eth2"], nics["eth3"]], "", "lacp", {})
    master = xapi.Bond.get_master(bond)
    assert xapi.PIF.get_device(master) == "bond0" and xapi.Bond.get_slaves(bond) == [nics["eth2"], nics["eth3"]]
    xapi.PIF.reconfigure_ip(master, "Static", "10.0.0.1", "255.0.0.0", "", "")
    assert xapi.PIF.get_IP(master) == "10.0.0.1"
    refused("CANNOT_PLUG_BOND_SLAVE", xapi.PIF.plug, nics["eth2"])
    xapi.Bond.destroy(bond)
    assert xapi.PIF.get_IP(nics["eth2"]) == "10.0.0.1"
    xapi.network.destroy(network)


for walk in (evacuation, members, join_and_eject, loss_of_a_host, high_availability, storage, copies_plugins_and_redirects, networking):
    walk()
    print(walk.__name__, flush=True)
