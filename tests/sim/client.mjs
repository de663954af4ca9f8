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

await xapi.disconnect()
process.exit(0)
