import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  CONNECT_DEADLINE_MS, FEED_RELEASE_MS, GIVE_UP_STALE_MS, PICTURE_DEADLINE_MS, POLL_MS,
  STALE_AFTER_MS,
} from '../src/player/deadlines'
import { FIRST_RETRY_MS } from '../src/player/reconnect'
import { Bench, created, problem } from './fakes'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

async function opened(bench = new Bench()): Promise<Bench> {
  bench.player.open()
  await pass(1)
  return bench
}

async function live(bench = new Bench()): Promise<Bench> {
  await opened(bench)
  bench.peer.become('connected')
  bench.peer.picture()
  await pass(POLL_MS)
  expect(bench.kind).toBe('live')
  return bench
}

/** Lets pictures come for a while. */
async function playFor(bench: Bench, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 100) {
    bench.peer.picture()
    await pass(100)
  }
}

describe('opening', () => {
  it('asks for the channel at its profile and hands the answer to the peer', async () => {
    const bench = await opened()
    expect(bench.posts[0]?.url).toBe('/whep/ch_1?profile=sub')
    expect(bench.posts[0]?.init.body).toBe('v=0 offer')
    expect(bench.peer.answer).toBe('v=0 answer')
    expect(bench.player.viewId).toBe('v1')
    expect(bench.feed.url).toBe('/whep/ch_1/v1/events')
  })

  it('shows each step the service reports, with its time', async () => {
    const bench = await opened()
    bench.feed.emit('step', { step: 'dial', at_ms: 0, elapsed_ms: 4 })
    bench.feed.emit('step', { step: 'describe', at_ms: 0, elapsed_ms: 9 })
    bench.feed.emit('step', { step: 'warp', at_ms: 0, elapsed_ms: 10 })
    const { state } = bench.player
    expect(state.kind === 'opening' && state.step).toBe('describe')
    expect(state.kind === 'opening' && state.marks.at(-1)).toEqual({ step: 'describe', elapsedMs: 9 })
  })

  it('is live when a picture is decoded, and with other windows open lets go of the feed', async () => {
    const bench = await live()
    expect(bench.feed.closed).toBe(false)
    await playFor(bench, FEED_RELEASE_MS + POLL_MS)
    expect(bench.kind).toBe('live')
    expect(bench.feed.closed).toBe(true)
  })

  it('alone in the browser it keeps the feed, and so hears of a revocation at once', async () => {
    const bench = new Bench()
    bench.crowded = false
    await live(bench)
    await playFor(bench, 3 * FEED_RELEASE_MS)
    expect(bench.feeds).toHaveLength(1)
    bench.feed.emit('state', { state: 'ended', reason: 'revoked' })
    expect(bench.player.state).toMatchObject({ kind: 'ended', reason: 'revoked' })
    expect(bench.peer.closed).toBe(true)
  })

  it('a refused feed does not disturb a picture that flows', async () => {
    const bench = new Bench()
    bench.crowded = false
    await live(bench)
    bench.feed.gone()
    await playFor(bench, 2_000)
    expect(bench.kind).toBe('live')
    expect(bench.feeds).toHaveLength(1)
    await pass(STALE_AFTER_MS + 2 * POLL_MS)
    expect(bench.states.some((s) => s.kind === 'lost' && s.reason === 'view_gone')).toBe(true)
  })

  it('gives the stream to a video that is mounted later', async () => {
    const bench = await opened()
    const video = { srcObject: null }
    bench.player.attach(video)
    expect(video.srcObject).toEqual({ id: 'stream' })
  })

  it('says that ICE failed when nothing connects', async () => {
    const bench = await opened()
    await pass(CONNECT_DEADLINE_MS + POLL_MS)
    expect(bench.player.state).toMatchObject({ kind: 'lost', reason: 'ice_failed', retriedBy: 'view' })
  })

  it('tells packets without a picture from no packets at all', async () => {
    const bench = await opened()
    bench.peer.become('connected')
    bench.peer.packets = 5
    await pass(PICTURE_DEADLINE_MS + POLL_MS)
    expect(bench.states.find((s) => s.kind === 'lost')).toMatchObject({ reason: 'not_decoded' })
  })

  it('tries again after an answer it cannot read', async () => {
    const bench = new Bench()
    bench.respond = (_, posts) => created(`v${posts}`, posts === 1 ? 'broken' : 'v=0 answer')
    await opened(bench)
    expect(bench.player.state).toMatchObject({ kind: 'lost', reason: 'bad_answer' })
    await pass(FIRST_RETRY_MS)
    expect(bench.kind).toBe('opening')
    expect(bench.deletes).toEqual(['/whep/ch_1/v1'])
  })
})

describe('refusals', () => {
  it.each([[404, 'not_found'], [403, 'forbidden'], [422, 'no_common_codec']])(
    'a %i %s is final and asked once', async (status, code) => {
      const bench = new Bench()
      bench.respond = () => problem(status, code)
      await opened(bench)
      await pass(120_000)
      expect(bench.player.state).toMatchObject({ kind: 'refused', reason: code, detail: 'why' })
      expect(bench.posts).toHaveLength(1)
      expect(bench.peer.closed).toBe(true)
    })

  it('a 401 tells the page to sign in again', async () => {
    const bench = new Bench()
    bench.respond = () => problem(401, 'token_expired')
    await opened(bench)
    expect(bench.unauthenticated).toBe(1)
    expect(bench.player.state).toMatchObject({ kind: 'refused', reason: 'unauthenticated' })
  })

  it('a 503 is asked again, not before its Retry-After', async () => {
    const bench = new Bench()
    bench.respond = (_, posts) =>
      posts === 1 ? problem(503, 'over_capacity', { 'Retry-After': '3' }) : created()
    await opened(bench)
    expect(bench.player.state).toMatchObject({ kind: 'lost', reason: 'over_capacity' })
    await pass(2_900)
    expect(bench.posts).toHaveLength(1)
    await pass(200)
    expect(bench.kind).toBe('opening')
  })
})

describe('stale and lost', () => {
  it('is stale when packets stop, asks the feed why, and is live again with the next', async () => {
    const bench = await live()
    await playFor(bench, FEED_RELEASE_MS + POLL_MS)
    await pass(STALE_AFTER_MS + POLL_MS)
    expect(bench.kind).toBe('stale')
    expect(bench.feeds).toHaveLength(2)
    bench.peer.picture()
    await pass(POLL_MS)
    expect(bench.kind).toBe('live')
    expect(bench.posts).toHaveLength(1)
  })

  it('keeps the view while the service redials the camera, and goes on in it', async () => {
    const bench = await live()
    bench.feed.emit('state', { state: 'lost', reason: 'closed_by_peer', detail: 'reset', retry_in_ms: 2000 })
    expect(bench.player.state).toMatchObject({
      kind: 'lost', retriedBy: 'camera', reason: 'closed_by_peer', detail: 'reset',
    })
    await pass(5_000)
    bench.peer.picture()
    await pass(POLL_MS)
    expect(bench.kind).toBe('live')
    expect(bench.posts).toHaveLength(1)
    expect(bench.deletes).toEqual([])
  })

  it('does not hold the feed between the tries of a dead camera', async () => {
    const bench = await opened()
    bench.peer.become('connected')
    const first = bench.feed
    first.emit('state', { state: 'lost', reason: 'connect_timeout', retry_in_ms: 8000 })
    await pass(POLL_MS)
    expect(first.closed).toBe(true)
    await pass(7_000)
    expect(bench.feeds).toHaveLength(2)
    bench.feed.emit('state', { state: 'opening' })
    bench.feed.emit('step', { step: 'connected', elapsed_ms: 3 })
    const { state } = bench.player
    expect(state.kind === 'opening' && state.step).toBe('connected')
  })

  it('asks for a new view when the old one is gone', async () => {
    const bench = await live()
    await pass(STALE_AFTER_MS + POLL_MS)
    bench.feed.gone()
    expect(bench.player.state).toMatchObject({ kind: 'lost', retriedBy: 'view', reason: 'view_gone' })
    await pass(FIRST_RETRY_MS)
    expect(bench.posts).toHaveLength(2)
    expect(bench.player.viewId).toBe('v2')
  })

  it('asks anew when a silence has no explanation', async () => {
    const bench = await live()
    await pass(GIVE_UP_STALE_MS + 2 * POLL_MS)
    expect(bench.states.some((s) => s.kind === 'lost' && s.reason === 'media_stopped')).toBe(true)
    expect(bench.posts.length).toBeGreaterThan(1)
  })

  it('notices a close_notify, and ends when the feed says it was meant', async () => {
    const bench = await live()
    bench.peer.transport.become('closed')
    expect(bench.player.state).toMatchObject({ kind: 'lost', reason: 'connection_lost' })
    bench.feed.emit('state', { state: 'ended', reason: 'revoked', detail: null })
    await pass(60_000)
    expect(bench.player.state).toMatchObject({ kind: 'ended', reason: 'revoked' })
    expect(bench.posts).toHaveLength(1)
    expect(bench.deletes).toEqual([])
  })

  it('is refused after a loss when the channel is no longer visible', async () => {
    const bench = await live()
    bench.respond = () => problem(404, 'not_found')
    bench.peer.become('failed')
    await pass(FIRST_RETRY_MS)
    expect(bench.player.state).toMatchObject({ kind: 'refused', reason: 'not_found' })
  })

  it('comes back after a restart of the service, slower with each try', async () => {
    const bench = await live()
    bench.respond = () => Promise.reject(new TypeError('refused'))
    bench.peer.become('failed')
    await pass(6_000)
    const tries = bench.posts.length
    expect(tries).toBeGreaterThan(3)
    expect(tries).toBeLessThan(7)
    bench.respond = () => created('v9')
    await pass(15_000)
    expect(bench.player.viewId).toBe('v9')
  })

  it('says since when it is lost, however often it was tried in between', async () => {
    const bench = await live()
    bench.respond = () => Promise.reject(new TypeError('refused'))
    bench.peer.become('failed')
    await pass(4_000)
    const since = bench.states.flatMap((s) => (s.kind === 'lost' ? [s.atMs] : []))
    expect(since.length).toBeGreaterThan(2)
    expect(new Set(since).size).toBe(1)
  })

  it('an end that was not meant is asked for again', async () => {
    const bench = await live()
    bench.feed.emit('state', { state: 'ended', reason: 'shutdown' })
    await pass(FIRST_RETRY_MS)
    expect(bench.posts).toHaveLength(2)
  })
})

describe('closing', () => {
  it('deletes the view with keepalive and is idle', async () => {
    const bench = await live()
    bench.player.close()
    expect(bench.deletes).toEqual(['/whep/ch_1/v1'])
    expect(bench.calls.at(-1)?.init.keepalive).toBe(true)
    expect(bench.feed.closed).toBe(true)
    await pass(1)
    expect(bench.peer.closed).toBe(true)
    await pass(60_000)
    expect(bench.kind).toBe('idle')
    expect(bench.posts).toHaveLength(1)
  })

  it('deletes a view whose answer comes after the closing', async () => {
    const bench = new Bench()
    let answer: (response: Response) => void = () => undefined
    bench.respond = () => new Promise((resolve) => (answer = resolve))
    await opened(bench)
    bench.player.close()
    answer(created())
    await pass(1)
    expect(bench.deletes).toEqual(['/whep/ch_1/v1'])
    expect(bench.kind).toBe('idle')
  })

  it('a retry on demand does not wait for its time', async () => {
    const bench = new Bench()
    bench.respond = (_, posts) => (posts === 1 ? problem(503, 'starting', { 'Retry-After': '30' }) : created())
    await opened(bench)
    bench.player.open()
    await pass(1)
    expect(bench.posts).toHaveLength(2)
  })
})
