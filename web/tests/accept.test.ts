import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { acceptAnswer } from '../dev/accept'
import { manageAnswer } from '../dev/manage'
import { Api, type ApiError } from '../src/api'
import { ManageApi } from '../src/manage/api'
import { AssignApi, effects } from '../src/manage/assign'
import { asksReason, FilingApi, stepsFrom, wants } from '../src/manage/filing'
import { Follower, FOLLOW_MS, type Job } from '../src/manage/follow'
import { factRows, InspectionApi, type CardFacts } from '../src/manage/inspections'
import { draftOf, RuleApi } from '../src/manage/rules'
import { byAddress, duration, orderOf, SweepApi, SweepDesk, USUAL_PORTS, type FoundDevice } from '../src/manage/sweeps'
import { adviceOf, CameraTable, questionOf, scopeOf } from '../src/manage/table'
import { fragmentOf, readRoute, type Route } from '../src/state/route'

/** The page's door to the mocked service of `dev/`. */
function door(): Api {
  return new Api({
    fetch: (path, init) => {
      const url = new URL(path, 'http://mock.invalid')
      const body = typeof init?.body === 'string' ? init.body : ''
      const answer = acceptAnswer(init?.method ?? 'GET', url, body) ?? manageAnswer(init?.method ?? 'GET', url, body)
      if (answer === null) return Promise.resolve(new Response(null, { status: 404 }))
      return Promise.resolve(answer.status === 204 ? new Response(null, { status: 204 }) : Response.json(answer.body, { status: answer.status }))
    },
  })
}

const broken: ApiError = { status: 0, code: 'network', detail: null, retryAfterMs: null }

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a job that is followed', () => {
  const job = (id: string, state: Job['state']): Job => ({ id, state })

  it('is looked at until it ends', async () => {
    const answers: Job[] = [job('a', 'running'), job('a', 'running'), job('a', 'done')]
    const seen: string[] = []
    const follower = new Follower(() => Promise.resolve({ kind: 'success', value: answers.shift() ?? job('a', 'done') }), (each: Job) => void seen.push(each.state))
    await follower.open('a')
    expect(seen).toEqual(['running'])
    await vi.advanceTimersByTimeAsync(5 * FOLLOW_MS)
    expect(seen).toEqual(['running', 'running', 'done'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is looked at again after a broken network, and not after a 404', async () => {
    const errors: ApiError[] = [broken, { ...broken, status: 404, code: 'not_found' }]
    const follower = new Follower<Job>(() => Promise.resolve({ kind: 'error', error: errors.shift() ?? broken }))
    await follower.open('a')
    expect([follower.view.error?.code, vi.getTimerCount()]).toEqual(['network', 1])
    await vi.advanceTimersByTimeAsync(FOLLOW_MS)
    expect([follower.view.error?.code, vi.getTimerCount()]).toEqual(['not_found', 0])
  })

  it('lets the answer for another one go', async () => {
    let late: (value: { kind: 'success'; value: Job }) => void = () => undefined
    const follower = new Follower<Job>((id) => Promise.resolve({ kind: 'success', value: job(id, 'done') }))
    await follower.open('a')
    const acting = follower.act(() => new Promise((resolve) => (late = resolve)))
    await follower.open('b')
    late({ kind: 'success', value: job('a', 'stopped') })
    await acting
    expect([follower.view.job, follower.view.busy]).toEqual([job('b', 'done'), false])
  })
})

describe('a sweep', () => {
  it('is ordered from texts; a port that is none is not sent', () => {
    const order = orderOf('10.1.2.0/24\n10.1.3.4，10.1.5.0/28', [], ' 80,8000 ', [
      { username: ' admin ', password: ' a b ' }, { username: '', password: 'x' }, { username: 'admin', password: 'c' },
    ])
    expect(order).toEqual({
      networks: ['10.1.2.0/24', '10.1.3.4', '10.1.5.0/28'], interfaces: [], ports: [80, 8000], try_again: false,
      credentials: [{ name: '1: admin', username: 'admin', password: ' a b ' }, { name: '2: admin', username: 'admin', password: 'c' }],
    })
    expect([orderOf('a', [], '0', []), orderOf('a', [], '80,x', []), orderOf('a', [], '70000', []), orderOf('a', [], ' ', [])]).toEqual([null, null, null, null])
    expect(orderOf(' ', ['10.1.2.5'], USUAL_PORTS, [])).toMatchObject({ networks: [], interfaces: ['10.1.2.5'] })
    expect(orderOf('a', [], USUAL_PORTS, [])?.ports).toEqual([80, 8000, 2020, 8899])
    expect(orderOf('a', [], USUAL_PORTS, [], true)?.try_again).toBe(true)
  })

  it('shows what it finds as it goes, stops, goes on, and becomes an import', async () => {
    const api = new SweepApi(door())
    const order = orderOf('10.1.2.0/24', [], '80', [])
    if (order === null) throw new Error('no order')
    const begun = await api.begin(order)
    if (begun.kind !== 'success') throw new Error('not begun')
    expect(await api.begin(order)).toMatchObject({ error: { code: 'sweep_running' } })
    const desk = new SweepDesk(api)
    const { view } = desk.follower
    await desk.open(begun.value.id)
    expect([view.job?.state, desk.found.items.length]).toEqual(['running', 1])
    await desk.halt()
    await vi.advanceTimersByTimeAsync(5 * FOLLOW_MS)
    expect([view.job?.state, desk.found.items.length]).toEqual(['stopped', 1])
    await desk.goOn()
    await vi.advanceTimersByTimeAsync(5 * FOLLOW_MS)
    expect([view.job?.state, view.job?.done, desk.found.items.length]).toEqual(['done', 254, 6])
    const made = await api.importFound(begun.value.id, { area: '110112001', device_class: 'alley' })
    expect(made).toMatchObject({ value: { state: 'checking', options: { area: '110112001', device_class: 'alley' } } })
    expect(JSON.stringify(await api.sweeps(10))).not.toContain('password')
  })

  it('lists what it found by the number of the address', () => {
    const hosts = ['10.0.0.10', '10.0.0.9', '9.1.1.1', '10.0.0.100'].map((host) => ({ host, port: 80 }) as FoundDevice)
    expect([...hosts].sort(byAddress).map((each) => each.host)).toEqual(['9.1.1.1', '10.0.0.9', '10.0.0.10', '10.0.0.100'])
  })

  it('tells how far a clock is off in the unit that says enough', () => {
    expect([duration(-90), duration(3605), duration(7500)]).toEqual([{ n: 90, unit: 's' }, { n: 60, unit: 'min' }, { n: 2, unit: 'h' }])
  })
})

const FACTS: CardFacts = {
  codec: 'H265', profile: 'Main', level: null, width: 2560, height: 1440, interlaced: false, fps_declared: 25, fps_measured: 12.04, bit_rate_bps: 950_400,
  gop_ms: null, gop_pictures: null, gop_at_least_ms: 12_000, b_frames: false, audio: null, transport: 'udp', clock_skew_ms: 3_600_000, first_keyframe_ms: 80, packets_lost: 3,
}

describe('the facts of a card', () => {
  it('are those that were learnt, with their units', () => {
    expect(Object.fromEntries(factRows(FACTS))).toEqual({
      codec: 'H265 Main', size: '2560×1440', fps: '12 (25)', bit_rate: '950 kbit/s', gop: '≥ 12 s', b_frames: false, clock: '+3600.0 s',
      first_keyframe: '80 ms', transport: 'UDP', lost: '3',
    })
    const whole = Object.fromEntries(factRows({ ...FACTS, gop_ms: 2000, gop_pictures: 50, fps_measured: 24.6, bit_rate_bps: 4_120_000, packets_lost: 0, interlaced: true }))
    expect(whole).toMatchObject({ gop: '2 s · 50', fps: '24.6', bit_rate: '4.1 Mbit/s', size: '2560×1440i' })
    expect(whole).not.toHaveProperty('lost')
  })
})

describe('filing', () => {
  it('offers the steps that fit a state', () => {
    expect([stepsFrom('draft'), stepsFrom('reviewed'), stepsFrom('filed')]).toEqual([['review', 'refuse'], ['file', 'refuse', 'reopen'], ['reopen']])
    expect(stepsFrom(null)).toEqual(['review', 'file', 'refuse', 'reopen'])
    expect(wants('file', ['draft', 'draft'])).toEqual(['reviewed'])
    expect([wants('file', ['draft', 'reviewed']), wants('file', null), wants('review', ['draft'])]).toEqual([null, null, null])
    expect([asksReason('review'), asksReason('refuse'), asksReason('reopen')]).toEqual(['no', 'must', 'may'])
  })

  it('sends a reason where there is one, and says what was left out', async () => {
    const bodies: unknown[] = []
    const api = new FilingApi(new Api({ fetch: (_, init) => {
      bodies.push(JSON.parse(init?.body as string))
      return Promise.resolve(Response.json({ changed: 1, left_out: 2 }))
    } }))
    expect(await api.take('refuse', { import_id: 'im_1' }, ' blurred ', false)).toMatchObject({ value: { changed: 1, left_out: 2 } })
    await api.take('review', { area_id: 'ar_1' }, ' ', true)
    expect(bodies).toEqual([
      { import_id: 'im_1', step: 'refuse', without_own: false, reason: 'blurred' },
      { area_id: 'ar_1', step: 'review', without_own: true },
    ])
  })

  it('goes from a draft to the operators, and back with a reason', async () => {
    const api = new FilingApi(door())
    const chosen = { channel_ids: ['ch_11'] }
    expect(await api.take('file', chosen, '', false)).toMatchObject({ error: { code: 'wrong_filing_state' } })
    expect(await api.take('review', chosen, '', false)).toMatchObject({ error: { code: 'second_person_wanted' } })
    expect(await api.choose({ second_person: false })).toMatchObject({ value: { second_person: false, by_hand: 'filed' } })
    for (const step of ['review', 'file'] as const) expect(await api.take(step, chosen, '', false)).toMatchObject({ value: { changed: 1 } })
    await api.take('reopen', chosen, 'moved', false)
    const manage = new ManageApi(door())
    expect(await manage.camera('ch_11')).toMatchObject({ value: { filing: 'draft', filing_note: 'moved' } })
    expect(await manage.versions('ch_11', null)).toMatchObject({ value: { items: [{ act: 'channel_reopen' }, { act: 'channel_file' }, { act: 'channel_review' }] } })
    await api.choose({ second_person: true })
  })
})

describe('assignment', () => {
  it('says who would see what: those that gain first, a few by name', () => {
    const seen = Array.from({ length: 7 }, (_, n) => ({ id: `ch_${n}`, code: '', name: `c${n}` }))
    const subject = { subject_id: '', gained: 0, lost: 0, gained_cameras: [], lost_cameras: [] }
    const audience = [
      { ...subject, display_name: 'a', lost: 1, lost_cameras: seen.slice(0, 1), gained: 2, gained_cameras: seen.slice(0, 2) },
      { ...subject, display_name: 'b', gained: 7, gained_cameras: seen },
    ]
    const plan = { plan: '', looked_at: 9, moves: 7, schematic: 0, unplaced: 0, beyond: 0, refused: 0, items: [], audience }
    expect(effects(plan)).toEqual([
      { kind: 'gained', n: 7, who: 'b', names: ['c0', 'c1', 'c2', 'c3', 'c4'], more: true },
      { kind: 'gained', n: 2, who: 'a', names: ['c0', 'c1'], more: false },
      { kind: 'lost', n: 1, who: 'a', names: ['c0'], more: false },
    ])
    expect(effects({ ...plan, audience: null })).toEqual([])
  })

  it('carries out the plan that was looked at, and no other', async () => {
    const api = new AssignApi(door())
    const chosen = { channel_ids: ['ch_21', 'ch_26'] }
    const looked = await api.preview(chosen)
    if (looked.kind !== 'success') throw new Error('no plan')
    expect(looked.value.moves).toBe(2)
    expect(await api.apply({ channel_ids: ['ch_21'] }, looked.value.plan)).toMatchObject({ error: { code: 'registry_changed' } })
    expect(await api.apply(chosen, looked.value.plan)).toMatchObject({ value: { moved: 2 } })
    expect(await api.preview(null)).toMatchObject({ kind: 'success' })
  })
})

describe('rules of assignment', () => {
  it('are sent with what their kind has, and not before they are whole', () => {
    expect(draftOf('address_prefix', 'ar_1', 'police_station', ' 新华大街 ', '10')).toEqual({ kind: 'address_prefix', area_id: 'ar_1', field: null, text: '新华大街', priority: 10 })
    expect(draftOf('fact', 'ar_1', 'police_station', '东关派出所', 100)).toMatchObject({ field: 'police_station', text: '东关派出所' })
    expect(draftOf('polygon', 'ar_1', 'police_station', 'x', 0)).toEqual({ kind: 'polygon', area_id: 'ar_1', field: null, text: null, priority: 0 })
    const unfinished = [draftOf('name_prefix', null, '', 'a', 1), draftOf('name_prefix', 'ar_1', '', ' ', 1), draftOf('fact', 'ar_1', '', 'a', 1)]
    const order = ['', ' ', '-1', '1.5', 'x', 1_000_001].map((each) => draftOf('name_prefix', 'ar_1', '', 'a', each))
    expect([...unfinished, ...order].every((each) => each === null)).toBe(true)
  })

  it('are listed in the order they are asked in, and go', async () => {
    const api = new RuleApi(door())
    const [later, first] = [draftOf('name_prefix', 'ar_0ss', '', '东', 50), draftOf('polygon', 'ar_0ss', '', '', 5)]
    if (later === null || first === null) throw new Error('no draft')
    const added = await api.add(later)
    await api.add(first)
    expect(await api.rules()).toMatchObject({ value: { items: [{ priority: 5, kind: 'polygon' }, { priority: 50, text: '东' }] } })
    if (added.kind !== 'success') throw new Error('not added')
    expect(await api.remove(added.value.id)).toMatchObject({ kind: 'success' })
    expect(await api.remove(added.value.id)).toMatchObject({ error: { code: 'not_found' } })
    expect(await api.rules()).toMatchObject({ value: { items: [{ kind: 'polygon' }] } })
  })
})

describe('the table of cameras', () => {
  const everything = { areaId: null, q: '', filing: null, verdict: null, profile: 'main' } as const
  const street = 'ar_0ss'

  async function inspected(): Promise<{ table: CameraTable; api: InspectionApi }> {
    const api = new InspectionApi(door())
    const begun = await api.begin({ area_id: street }, ['main', 'sub'])
    if (begun.kind !== 'success') throw new Error('not begun')
    const follower = new Follower((id, signal) => api.run(id, signal))
    await follower.open(begun.value.id)
    await vi.advanceTimersByTimeAsync(5 * FOLLOW_MS)
    expect([follower.view.job?.state, follower.view.job?.done]).toEqual(['done', 24])
    return { table: new CameraTable(door(), api), api }
  }

  it('shows by verdict those whose stream of the asked profile has it, with both cards', async () => {
    const { table } = await inspected()
    await table.ask({ ...everything, verdict: 'fails' })
    expect(table.view.rows.map((row) => row.id)).toEqual(['ch_1', 'ch_2', 'ch_5', 'ch_6', 'ch_9', 'ch_10'])
    expect([table.view.rows[0]?.cards.main?.verdict, table.view.rows[0]?.cards.sub?.verdict]).toEqual(['fails', 'plays'])
    expect(table.view.rows.map((row) => adviceOf(row).map((each) => each.code))).toEqual([['b_frames'], ['connect_timeout'], ['b_frames'], ['connect_timeout'], ['b_frames'], ['connect_timeout']])
    await table.ask({ ...everything, verdict: 'fails', profile: 'sub', filing: 'draft' })
    expect(table.view.rows.map((row) => row.id)).toEqual(['ch_6'])
  })

  it('lets the answer to an older question go', async () => {
    const { table } = await inspected()
    await Promise.all([table.ask(everything), table.ask({ ...everything, verdict: 'limited' })])
    expect(table.view.rows.map((row) => row.id)).toEqual(['ch_3', 'ch_7', 'ch_11'])
    expect(table.view.loading).toBe(false)
  })

  it('is empty where there is no question', async () => {
    const { table } = await inspected()
    await table.ask({ ...everything, verdict: 'fails' })
    const late = table.ask({ ...everything, verdict: 'limited' })
    await table.ask(null)
    await late
    expect(table.view).toMatchObject({ rows: [], total: null, cursor: null, loading: false })
  })
})

describe('an area that is not known, as one of an old link', () => {
  const [gone, known, all] = [{ code: '1', id: null }, { code: '110112', id: 'ar_1' }, { code: '', id: null }]

  it('is no question and no scope; it does not stand for all', () => {
    const asked = { filing: null, verdict: null, profile: 'main' } as const
    expect([gone, known, all].map((area) => questionOf(area, '', asked)?.areaId)).toEqual([undefined, 'ar_1', null])
    expect([gone, known, all].map((area) => scopeOf([], area, true))).toEqual([null, { area_id: 'ar_1' }, {}])
    expect([gone, known, all].map((area) => scopeOf([], area, false))).toEqual([null, { area_id: 'ar_1' }, null])
    expect(scopeOf(['ch_1'], gone, false)).toEqual({ channel_ids: ['ch_1'] })
  })
})

describe('addresses of these views', () => {
  const routes: readonly Route[] = [
    { view: 'accept', area: '', filing: null, verdict: null, profile: 'main' },
    { view: 'accept', area: '110112001', filing: 'draft', verdict: 'fails', profile: 'sub' },
    { view: 'rules' }, { view: 'quotas' }, { view: 'sweeps' }, { view: 'sweep', id: 'sw_1/x' }]

  it.each(routes)('lead back: %o', (route) => {
    expect(readRoute(fragmentOf(route))).toEqual(route)
  })
})
