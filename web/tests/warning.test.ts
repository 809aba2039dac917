import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { POLL_MS } from '../src/player/deadlines'
import { Bench } from './fakes'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

it('a live player says what is wrong with its camera, if it has words for it', async () => {
  const bench = new Bench()
  bench.crowded = false
  bench.player.open()
  await pass(1)
  bench.peer.become('connected')
  for (const [said, shown] of [[null, null], ['b_frames', 'b_frames'], ['sulks', null]]) {
    bench.peer.picture()
    await pass(POLL_MS)
    bench.feed.emit('state', { state: 'live', warning: said })
    bench.peer.picture()
    await pass(POLL_MS)
    expect(bench.player.state).toMatchObject({ kind: 'live', warning: shown })
  }
})
