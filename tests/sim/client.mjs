// Walks through a simulated pool with the xen-api package of npm: over JSON-RPC, with its event loop.

import assert from 'node:assert/strict'

const [directory, url, user, password] = process.argv.slice(2)
const { createClient } = await import(`${directory}/node_modules/xen-api/index.mjs`)

const xapi = createClient({ url, auth: { user, password }, allowUnauthorized: true })
await xapi.connect()
await xapi.objectsFetched

const all = Object.values(xapi.objects.all)
const guests = all.filter(o => o.$type === 'VM' && !o.is_a_template && !o.is_control_domain).map(o => o.name_label)
assert.deepEqual(guests.sort(), ['guest1', 'guest2'])
console.log('listing')

const vm = all.find(o => o.name_label === 'guest1')
assert.equal(vm.power_state, 'Running')
assert.equal(typeof vm.memory_static_max, 'number')
await xapi.callAsync('VM.clean_shutdown', vm.$ref)
await xapi.barrier(vm.$ref)
assert.equal(xapi.getObject(vm.$id).power_state, 'Halted')
console.log('events')

await xapi.call('VM.start', vm.$ref, false, false)
const snapshot = await xapi.callAsync('VM.snapshot', vm.$ref, 'from node')
assert.equal(await xapi.getField('VM', snapshot, 'snapshot_of'), vm.$ref)
await xapi.call('VM.destroy', snapshot)
console.log('tasks')

await assert.rejects(xapi.call('VM.dance', vm.$ref), { code: 'MESSAGE_METHOD_UNKNOWN' })
await assert.rejects(xapi.callAsync('VM.start', vm.$ref, false, false), error => error.code === 'VM_BAD_POWER_STATE' && error.params[1] === 'halted')
await assert.rejects(xapi.call('VM.start', vm.$ref), { code: 'MESSAGE_PARAMETER_COUNT_MISMATCH' })
console.log('errors')

// Into a disk that is there: it has to be as large, and stays the one that it is.
const nothing = 'OpaqueRef:NULL'
const shared = await xapi.getField('pool', xapi.pool.$ref, 'default_SR')
const disk = (name, size) =>
  xapi.call('VDI.create', {
    name_label: name, SR: shared, virtual_size: size, type: 'user', sharable: false, read_only: false, other_config: {},
  })
const [small, large] = [await disk('small', 2 ** 30), await disk('large', 2 ** 31)]
await assert.rejects(xapi.callAsync('VDI.copy', large, nothing, nothing, small), { code: 'VDI_TOO_SMALL' })
assert.equal(await xapi.callAsync('VDI.copy', small, nothing, nothing, large), large)
assert.equal(await xapi.getField('VDI', large, 'virtual_size'), 2 ** 31)
for (const vdi of [small, large]) await xapi.callAsync('VDI.destroy', vdi)
console.log('copies')

const host = Object.values(xapi.objects.all).find(o => o.$type === 'host' && o.name_label === 'host2')
assert.equal(await xapi.call('host.call_plugin', host.$ref, 'echo', 'main', { a: 'b' }), "args were: {'a': 'b'}")
const plugin = (name, word) => xapi.callAsync('host.call_plugin', host.$ref, name, word, {})
await assert.rejects(plugin('nothing', 'main'), error => error.code === 'XENAPI_MISSING_PLUGIN' && error.params[0] === 'nothing')
await assert.rejects(plugin('echo', 'nothing'), { code: 'UNKNOWN_XENAPI_PLUGIN_FUNCTION' })
console.log('plugins')

// To the pool of host3, the spare one, which has the address after the next of host1.
const first = Object.values(xapi.objects.all).find(o => o.$type === 'host' && o.name_label === 'host1')
const parts = first.address.split('.')
const address = new URL(url)
address.hostname = [...parts.slice(0, 3), Number(parts[3]) + 2].join('.')
const there = createClient({ url: address.href.replace(/\/$/, ''), auth: { user, password }, allowUnauthorized: true })
await there.connect()
await there.objectsFetched
const records = Object.values(there.objects.all)
const target = records.find(o => o.$type === 'host')
const storage = records.find(o => o.$type === 'SR' && o.type === 'ext')
const network = records.find(o => o.$type === 'network' && o.bridge === 'xenbr0')
const ticket = await there.call('host.migrate_receive', target.$ref, network.$ref, {})
const disks = {}
for (const vbd of await xapi.getField('VM', vm.$ref, 'VBDs')) {
  const { type, VDI } = await xapi.getRecord('VBD', vbd)
  if (type === 'Disk') disks[VDI] = storage.$ref
}
const nics = Object.fromEntries((await xapi.getField('VM', vm.$ref, 'VIFs')).map(vif => [vif, network.$ref]))
const send = (disks, nics) => xapi.callAsync('VM.migrate_send', vm.$ref, ticket, true, disks, nics, {})
await assert.rejects(send({}, nics), { code: 'VDI_NOT_IN_MAP' })
await assert.rejects(send(disks, {}), { code: 'VIF_NOT_IN_MAP' })
const { uuid } = vm
const moved = await send(disks, nics)
const arrived = await there.getRecord('VM', moved)
assert.deepEqual([arrived.uuid, arrived.power_state, arrived.resident_on], [uuid, 'Running', target.$ref])
await assert.rejects(xapi.call('VM.get_by_uuid', uuid), { code: 'UUID_INVALID' })
await there.disconnect()
console.log('migration to another pool')

await xapi.disconnect()
process.exit(0)
