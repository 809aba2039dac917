/** Main and sub within one view: changed over in place, or the other one taken. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FEED_RELEASE_MS, POLL_MS } from '../src/player/deadlines'
import { FIRST_RETRY_MS } from '../src/player/reconnect'
import { SWITCH_RETRY_MS } from '../src/player/streams'
import { Bench, created, last, problem, type Call } from './fakes'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const puts = (bench: Bench) => bench.calls.filter((call) => call.method === 'PUT')
const wishes = (bench: Bench) => puts(bench).map((call) => call.init.body)
const urls = (bench: Bench) => bench.posts.map((call) => call.url)
const MAIN = '{"profile":"main"}'
const SUB = '{"profile":"sub"}'

/** The service's answer to a call that it takes: what plays just then. */
function taken(profile: string): Response {
  return new Response(JSON.stringify({ id: 'v1', profile, wanted_profile: 'main' }), { status: 200 })
}

/** `onPut` answers the calls for another stream, `onPost` the offers. */
async function live(
  onPut: (call: Call) => Response | Promise<Response>, bench = new Bench(),
): Promise<Bench> {
  bench.respond = (call, posts) => (call.method === 'PUT' ? onPut(call) : created(`v${posts}`))
  bench.player.open()
  await pass(1)
  await play(bench)
  expect(bench.kind).toBe('live')
  return bench
}

async function play(bench: Bench, ms = POLL_MS): Promise<void> {
  bench.peer.become('connected')
  for (let at = 0; at < ms; at += 100) {
    bench.peer.picture()
    await pass(100)
  }
}

describe('a tile that is enlarged', () => {
  it('changes its view over in place: no second offer, no second peer', async () => {
    const bench = await live(() => taken('sub'))
    bench.player.streams.want('main')
    await pass(1)
    expect(last(puts(bench))).toMatchObject({ url: '/api/v1/views/v1/profile', init: { body: MAIN } })
    expect(bench.player.profile).toBe('sub')
    expect(bench.player.streams.change).toEqual({ kind: 'awaited', to: 'main', reason: null })
    bench.feed.emit('state', { state: 'live', profile: 'main', wanted_profile: 'main' })
    expect(bench.player.profile).toBe('main')
    expect(bench.player.streams.change).toBeNull()
    expect(bench.kind).toBe('live')
    expect(bench.posts).toHaveLength(1)
    expect(bench.peers).toHaveLength(1)
    expect(bench.deletes).toEqual([])
  })

  it('and made small again goes back the same way', async () => {
    const bench = await live((call) => taken(call.init.body === MAIN ? 'main' : 'sub'))
    bench.player.streams.want('main')
    await pass(1)
    expect(bench.player.profile).toBe('main')
    bench.player.streams.want('sub')
    await pass(1)
    expect(wishes(bench)).toEqual([MAIN, SUB])
    expect(bench.player.profile).toBe('sub')
    expect(bench.player.streams.change).toBeNull()
  })

  it('asks one thing at a time, and only the newest wish counts', async () => {
    let answer: (response: Response) => void = () => undefined
    const bench = await live(() => new Promise((resolve) => (answer = resolve)))
    for (const profile of ['main', 'sub', 'main', 'sub'] as const) bench.player.streams.want(profile)
    await pass(1)
    expect(wishes(bench)).toEqual([MAIN])
    answer(taken('sub'))
    await pass(1)
    expect(wishes(bench)).toEqual([MAIN, SUB])
    answer(taken('sub'))
    await pass(60_000)
    expect(puts(bench)).toHaveLength(2)
  })

  it('before the service answered its offer: asks as soon as the view is there', async () => {
    const bench = new Bench()
    let answer: (response: Response) => void = () => undefined
    bench.respond = (call) => (call.method === 'PUT' ? taken('main') : new Promise((resolve) => (answer = resolve)))
    bench.player.open()
    await pass(1)
    bench.player.streams.want('main')
    expect(puts(bench)).toHaveLength(0)
    answer(created())
    await pass(1)
    expect(wishes(bench)).toEqual([MAIN])
    expect(urls(bench)).toEqual(['/whep/ch_1?profile=sub'])
  })

  it('with other windows open holds its feed until the stream has come', async () => {
    const bench = await live(() => taken('sub'))
    await play(bench, FEED_RELEASE_MS + 2 * POLL_MS)
    expect(bench.feed.closed).toBe(true)
    bench.player.streams.want('main')
    await play(bench, FEED_RELEASE_MS + 2 * POLL_MS)
    expect(bench.feed.closed).toBe(false)
    bench.feed.emit('state', { state: 'live', profile: 'main', wanted_profile: 'main' })
    await play(bench, 2 * POLL_MS)
    expect(bench.feed.closed).toBe(true)
  })

  it('asks for the wanted stream at once when the view has to be opened anew', async () => {
    const bench = await live(() => taken('main'))
    bench.player.streams.want('main')
    await pass(1)
    bench.peer.become('failed')
    await pass(FIRST_RETRY_MS)
    expect(urls(bench)).toEqual(['/whep/ch_1?profile=sub', '/whep/ch_1?profile=main'])
    expect(puts(bench)).toHaveLength(1)
    expect(bench.player.streams.change).toBeNull()
  })

  it('that fell out of the service meanwhile does not call for a view that is gone', async () => {
    const bench = await live(() => taken('main'))
    bench.peer.become('failed')
    bench.player.streams.want('main')
    await pass(FIRST_RETRY_MS)
    expect(puts(bench)).toHaveLength(0)
    expect(last(urls(bench))).toBe('/whep/ch_1?profile=main')
  })
})

describe('a change that is refused', () => {
  it.each([[422, 'no_common_codec'], [409, 'conflict'], [404, 'not_found']])(
    '(%i %s) leaves the view as it is, says why, and is asked once', async (status, code) => {
      const bench = await live(() => problem(status, code))
      bench.player.streams.want('main')
      await play(bench, 3 * SWITCH_RETRY_MS)
      expect(bench.kind).toBe('live')
      expect(bench.player.profile).toBe('sub')
      expect(bench.player.streams.change).toEqual({ kind: 'refused', to: 'main', reason: code })
      expect(puts(bench)).toHaveLength(1)
      expect(bench.posts).toHaveLength(1)
      bench.player.streams.want('sub')
      await pass(1)
      expect(bench.player.streams.change).toBeNull()
      expect(puts(bench)).toHaveLength(1)
      bench.player.streams.want('main')
      await pass(1)
      expect(puts(bench)).toHaveLength(2)
    })

  it('is said with its reason while the camera does not give the other stream', async () => {
    const bench = await live(() => taken('sub'))
    bench.player.streams.want('main')
    await pass(1)
    const waiting = { state: 'live', profile: 'sub', wanted_profile: 'main' }
    bench.feed.emit('state', { ...waiting, wanted_reason: 'busy' })
    expect(bench.player.streams.change).toEqual({ kind: 'awaited', to: 'main', reason: 'busy' })
    bench.feed.emit('state', { ...waiting, wanted_reason: null })
    expect(bench.player.streams.change).toEqual({ kind: 'awaited', to: 'main', reason: null })
    bench.feed.emit('state', { state: 'live', profile: 'main', wanted_profile: 'main' })
    expect(bench.player.streams.change).toBeNull()
    expect(puts(bench)).toHaveLength(1)
  })

  it('because of a codec that the camera turned out to send is said, and not asked for again', async () => {
    const bench = await live(() => taken('sub'))
    bench.player.streams.want('main')
    await pass(1)
    const word = { state: 'live', profile: 'sub', wanted_profile: 'sub', wanted_reason: 'no_common_codec' }
    for (let n = 0; n < 3; n++) bench.feed.emit('state', word)
    await play(bench, 10_000)
    expect(bench.player.streams.change).toEqual({ kind: 'refused', to: 'main', reason: 'no_common_codec' })
    expect(wishes(bench)).toEqual([MAIN])
    expect(bench.kind).toBe('live')
    bench.player.streams.want('sub')
    await pass(1)
    expect(bench.player.streams.change).toBeNull()
    bench.player.streams.want('main')
    await pass(1)
    expect(wishes(bench)).toEqual([MAIN, MAIN])
  })

  it('on the way back leaves the main stream on the glass, and says so', async () => {
    const bench = await live((call) => (call.init.body === MAIN ? taken('main') : problem(500, 'oops')))
    bench.player.streams.want('main')
    await pass(1)
    bench.player.streams.want('sub')
    await pass(1)
    expect(wishes(bench)).toEqual([MAIN, SUB])
    expect(bench.player.streams.change).toMatchObject({ kind: 'refused', to: 'sub', reason: 'oops' })
    bench.player.streams.want('main')
    await pass(1)
    expect(bench.player.streams.change).toBeNull()
    expect(puts(bench)).toHaveLength(2)
  })

  it('for a passing reason is tried again while the view lives', async () => {
    let calls = 0
    const bench = await live(() => (++calls === 1 ? problem(503, 'over_capacity') : taken('main')))
    bench.player.streams.want('main')
    await pass(1)
    expect(bench.player.streams.change).toMatchObject({ kind: 'refused', reason: 'over_capacity' })
    await play(bench, SWITCH_RETRY_MS)
    expect(bench.player.profile).toBe('main')
    expect(bench.player.streams.change).toBeNull()
  })

  it('is not tried again once the tile is closed', async () => {
    const bench = await live(() => Promise.reject(new TypeError('refused')))
    bench.player.streams.want('main')
    await pass(1)
    bench.player.close()
    await pass(2 * SWITCH_RETRY_MS)
    expect(puts(bench)).toHaveLength(1)
  })
})

describe('a main stream that this browser cannot play', () => {
  function noMain(call: Call): Response {
    return call.url.endsWith('=main') ? problem(422, 'no_common_codec') : created('v2')
  }

  it('gives way to the sub stream at once, and the tile says so', async () => {
    const bench = new Bench({ profile: 'main' })
    bench.respond = noMain
    bench.player.open()
    await pass(1)
    await play(bench)
    expect(urls(bench)).toEqual(['/whep/ch_1?profile=main', '/whep/ch_1?profile=sub'])
    expect(bench.states.map((state) => state.kind)).not.toContain('lost')
    expect(bench.kind).toBe('live')
    expect(bench.player.profile).toBe('sub')
    expect(bench.player.streams.change).toEqual({ kind: 'refused', to: 'main', reason: 'no_common_codec' })
    await play(bench, 60_000)
    expect(bench.posts).toHaveLength(2)
    expect(puts(bench)).toHaveLength(0)
  })

  it('is not asked for again with the next view, but is when somebody opens the tile again', async () => {
    const bench = new Bench({ profile: 'main' })
    bench.respond = noMain
    bench.player.open()
    await pass(1)
    await play(bench)
    bench.peer.become('failed')
    expect(bench.kind).toBe('lost')
    await pass(FIRST_RETRY_MS)
    expect(urls(bench).slice(2)).toEqual(['/whep/ch_1?profile=sub'])
    bench.peer.become('failed')
    bench.player.open()
    await pass(1)
    expect(urls(bench).slice(3)).toEqual(['/whep/ch_1?profile=main', '/whep/ch_1?profile=sub'])
  })

  it('found out only when the camera was dialled, gives way too', async () => {
    const bench = new Bench({ profile: 'main' })
    bench.player.open()
    await pass(1)
    bench.feed.emit('state', { state: 'ended', reason: 'no_common_codec' })
    await pass(1)
    expect(urls(bench)).toEqual(['/whep/ch_1?profile=main', '/whep/ch_1?profile=sub'])
    expect(bench.deletes).toEqual([])
    await play(bench)
    expect(bench.kind).toBe('live')
  })

  it('whose sub stream it cannot play either: the tile shows the reason, and nothing is asked again', async () => {
    const bench = new Bench({ profile: 'main' })
    bench.respond = () => problem(422, 'no_common_codec')
    bench.player.open()
    await pass(120_000)
    expect(bench.player.state).toMatchObject({ kind: 'refused', reason: 'no_common_codec', detail: 'why' })
    expect(bench.posts).toHaveLength(2)
    expect(bench.peers.every((peer) => peer.closed)).toBe(true)
  })

  it('of a channel that has no other: the reason, after one request', async () => {
    const bench = new Bench({ profile: 'main', profiles: ['main'] })
    bench.respond = () => problem(422, 'no_common_codec')
    bench.player.open()
    await pass(120_000)
    expect(bench.player.state).toMatchObject({ kind: 'refused', reason: 'no_common_codec' })
    expect(bench.posts).toHaveLength(1)
  })
})
