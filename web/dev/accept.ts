/**
 * The mocked service's part for finding cameras: a sweep that goes on with each look, finds devices
 * of every kind, and becomes an import; inspections, filing and assignment are in files of
 * their own. Pure: a request in, an answer out.
 */
import type { FoundDevice, Sweep, SweepOrder } from '../src/manage/sweeps'
import { assignAnswer } from './assign.ts'
import { filingAnswer, filingNote, settingsAnswer } from './filing.ts'
import { cardsAnswer, inspectionAnswer, STILL } from './inspect.ts'
import { peopleAnswer } from './people.ts'
import { quotasAnswer } from './quotas.ts'
import { purposesAnswer, rulesAnswer } from './rules.ts'
import { AT, createImport, manageAnswer, ok, refuse, type Answer } from './manage.ts'

interface MockedSweep { sweep: Sweep; looks: number }

const sweeps: MockedSweep[] = []
const ADDRESSES = 254
/** Looks until it ends. */
const LOOKS = 4

function device(host: string, more: Partial<FoundDevice>): FoundDevice {
  return {
    host, port: 80, state: 'described', registered: false, code: null, sentence: null, manufacturer: '海康威视', model: 'DS-2CD2T46', serial: host,
    clock_offset_s: 0.2, credential_set: '1: admin', channels: [{ token: 'v1', name: 'Camera 01' }], notes: [], note_codes: [], ...more,
  }
}

const refused = (host: string, code: string, sentence: string): FoundDevice =>
  device(host, { state: 'refused', code, sentence, manufacturer: null, model: null, credential_set: null, clock_offset_s: null, channels: [] })

const INTERFACES = [{ name: 'lo', address: '127.0.0.1', network: '127.0.0.0/8' }, { name: 'eth0', address: '10.1.2.5', network: '10.1.2.0/24' }]

const DEVICES: readonly FoundDevice[] = [
  device('10.1.2.11', {}),
  device('10.1.2.12', { clock_offset_s: 3605, notes: ['The device\'s clock is wrong; set its time server.'], note_codes: ['clock_off'] }),
  device('10.1.2.13', { registered: true, manufacturer: '大华', model: 'IPC-HFW1230' }),
  device('10.1.2.20', { manufacturer: '宇视', model: 'NVR302-16', channels: Array.from({ length: 16 }, (_, n) => ({ token: `v${n}`, name: `CH ${n + 1}` })), credential_set: '2: viewer', clock_offset_s: -90 }),
  refused('10.1.2.31', 'auth_required', 'The device wants a user name and a password; give a set that it knows.'),
  refused('10.1.2.32', 'not_onvif', 'Something answers here, but not by ONVIF; switch ONVIF on in the camera’s menu (Network, Integration protocol).'),
]

/** Null for what is not its own. */
export function acceptAnswer(method: string, url: URL, body: string): Answer | null {
  const [, , , noun, id, part] = url.pathname.split('/')
  if (noun === 'sweeps') return sweepAnswer(method, id, part, body)
  if (noun === 'inspections') return inspectionAnswer(method, id, part, body)
  if (noun === 'channel-inspections') return cardsAnswer(url.searchParams)
  if (noun === 'assignment-rules') return rulesAnswer(method, id, body)
  if (noun === 'purposes') return purposesAnswer(method, id, body)
  if (noun === 'quotas') return quotasAnswer(method, id, part, body)
  if (noun === 'assignment') return assignAnswer(id, body)
  if (noun === 'channel-filing') return filingAnswer(body)
  if (noun === 'filing-settings') return settingsAnswer(method, body)
  if (noun === 'channels' && part === undefined && id !== undefined) return withNote(id, manageAnswer(method, url, body))
  if (noun === 'channels' && part === 'inspection.jpg') return { status: 200, body: STILL, file: 'image/svg+xml' }
  return peopleAnswer(method, url, body)
}

/** A camera's card, with why it was sent back. */
function withNote(id: string, answer: Answer | null): Answer | null {
  return answer?.status === 200 ? { ...answer, body: { ...(answer.body as object), filing_note: filingNote(id) } } : answer
}

function sweepAnswer(method: string, id: string | undefined, part: string | undefined, body: string): Answer {
  if (id === undefined) return method === 'POST' ? begin(JSON.parse(body) as SweepOrder) : ok({ items: sweeps.map((each) => each.sweep).reverse(), next_cursor: null, total: sweeps.length })
  if (id === 'interfaces') return ok({ items: INTERFACES })
  const found = sweeps.find((each) => each.sweep.id === id)
  if (found === undefined) return refuse(404, 'not_found', `There is no sweep '${id}'.`)
  if (part === undefined && method === 'DELETE') {
    sweeps.splice(sweeps.indexOf(found), 1)
    return ok(null, 204)
  }
  switch (part) {
    case 'devices': return ok({ items: DEVICES.slice(0, found.sweep.found), next_after: null })
    case 'stop': return ok(turn(found, 'stopped'))
    case 'go-on': return ok(turn(found, 'running'))
    case 'import': return importOf(found, JSON.parse(body) as { area: string | null; device_class: string })
    default: return ok(look(found))
  }
}

function begin(order: SweepOrder): Answer {
  if (sweeps.some((each) => each.sweep.state === 'running')) return refuse(409, 'sweep_running', 'A sweep is under way; wait for its end, or stop it.')
  const wrong = order.networks.find((each) => !/^[\d.]+(\/\d+)?$/.test(each))
  if (wrong !== undefined) return refuse(422, 'bad_sweep', `'${wrong}' is no network. Write networks as 10.1.0.0/22 and ports as numbers.`, 'networks')
  const sweep: Sweep = {
    id: `sw_${sweeps.length + 1}`, created_at: AT, created_by: 'admin', networks: order.networks, ports: order.ports, interfaces: order.interfaces,
    state: 'running', total: 0, done: 0, found: 0, described: 0,
  }
  sweeps.push({ sweep, looks: 0 })
  return ok(sweep, 202)
}

function turn(found: MockedSweep, state: Sweep['state']): Sweep {
  return (found.sweep = { ...found.sweep, state })
}

function look(found: MockedSweep): Sweep {
  if (found.sweep.state !== 'running') return found.sweep
  found.looks += 1
  const share = Math.min(1, found.looks / LOOKS)
  const seen = Math.floor(DEVICES.length * share)
  const total = ADDRESSES * found.sweep.ports.length
  found.sweep = { ...found.sweep, total, done: Math.floor(total * share), found: seen, described: seen, state: share === 1 ? 'done' : 'running' }
  return found.sweep
}

function importOf(found: MockedSweep, choice: { area: string | null; device_class: string }): Answer {
  const fresh = DEVICES.slice(0, found.sweep.found).filter((each) => !each.registered && each.channels.length > 0)
  if (fresh.length === 0) return refuse(422, 'nothing_found', 'The sweep found no new camera that told its stream addresses; look at what each device answered.')
  const rows = fresh.flatMap((each) => each.channels.map((channel) => `${each.host} ${channel.name}`))
  const text = rows.map((name, index) => `1101120000132${String(8_000_001 + index)},${name}`).join('\n')
  const query = new URLSearchParams({ name: `${found.sweep.id}.json`, template: 'full', device_class: choice.device_class, ...(choice.area !== null && { area: choice.area }) })
  return createImport(query, `设备编码,设备名称\n${text}`)
}
