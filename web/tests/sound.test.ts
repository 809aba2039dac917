/** Hearing a camera: asked for per view, off at first, and said when there is nothing to hear. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { POLL_MS } from '../src/player/deadlines'
import { FIRST_RETRY_MS } from '../src/player/reconnect'
import { SOUND_DEADLINE_MS } from '../src/player/sound'
import { hear, isHeard } from '../src/state/sound'
import { wall } from '../src/state/wall'
import { Bench, created, last, problem, type Call } from './fakes'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const puts = (bench: Bench) => bench.calls.filter((call) => call.method === 'PUT')
const wishes = (bench: Bench) => puts(bench).map((call) => [call.url, call.init.body])
const ok = () => new Response('{}', { status: 200 })

async function live(onPut: (call: Call) => Response = ok): Promise<Bench> {
  const bench = new Bench()
  bench.respond = (call, posts) => (call.method === 'PUT' ? onPut(call) : created(`v${posts}`))
  bench.player.open()
  await pass(1)
  await play(bench, POLL_MS)
  expect(bench.kind).toBe('live')
  return bench
}

async function play(bench: Bench, ms: number, sounds = false): Promise<void> {
  bench.peer.become('connected')
  for (let at = 0; at < ms; at += 100) {
    bench.peer.picture()
    if (sounds) bench.peer.soundPackets += 5
    await pass(100)
  }
}

describe('sound', () => {
  it('is offered with the picture, after it, and not asked for by itself', async () => {
    const bench = await live()
    await play(bench, 2 * SOUND_DEADLINE_MS)
    expect(bench.peer.kinds).toEqual(['video', 'audio'])
    expect(bench.player.sound.state).toBe('off')
    expect(puts(bench)).toHaveLength(0)
  })

  it('is turned on and off in the view', async () => {
    const bench = await live()
    bench.player.sound.want(true)
    await play(bench, 2 * SOUND_DEADLINE_MS, true)
    expect(bench.player.sound.state).toBe('on')
    bench.player.sound.want(false)
    await pass(1)
    expect(wishes(bench)).toEqual([
      ['/api/v1/views/v1/audio', '{"on":true}'],
      ['/api/v1/views/v1/audio', '{"on":false}'],
    ])
    expect(bench.player.sound.state).toBe('off')
  })

  it('that does not come is said, and that it came after all', async () => {
    const bench = await live()
    bench.player.sound.want(true)
    await play(bench, SOUND_DEADLINE_MS - POLL_MS)
    expect(bench.player.sound.state).toBe('on')
    await play(bench, 3 * POLL_MS)
    expect(bench.player.sound.state).toBe('none')
    await play(bench, 2 * POLL_MS, true)
    expect(bench.player.sound.state).toBe('on')
  })

  it('is asked for again with a new view', async () => {
    const bench = await live()
    bench.player.sound.want(true)
    await pass(1)
    bench.peer.become('failed')
    await pass(FIRST_RETRY_MS)
    expect(last(wishes(bench))).toEqual(['/api/v1/views/v2/audio', '{"on":true}'])
  })

  it('that is refused is said, once, and may be asked for again', async () => {
    const bench = await live(() => problem(500, 'oops'))
    bench.player.sound.want(true)
    await play(bench, 2 * SOUND_DEADLINE_MS)
    expect(bench.player.sound.state).toBe('failed')
    expect(puts(bench)).toHaveLength(1)
    bench.player.sound.want(false)
    bench.player.sound.want(true)
    await pass(1)
    expect(puts(bench)).toHaveLength(2)
  })
})

describe('the wall', () => {
  it('lets one tile be heard, and none that is not seen', () => {
    hear(0, true)
    hear(2, true)
    expect([0, 1, 2, 3].map(isHeard)).toEqual([false, false, true, false])
    hear(0, false)
    expect(isHeard(2)).toBe(true)
    Object.assign(wall, { layout: 1, selected: 1 })
    expect(isHeard(2)).toBe(false)
    wall.selected = 2
    expect(isHeard(2)).toBe(true)
    hear(2, false)
    expect(isHeard(2)).toBe(false)
  })
})
