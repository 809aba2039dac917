import { describe, expect, it } from 'vitest'
import { Cushion, CUSHION_MS } from '../src/player/cushion'
import type { MediaSample } from '../src/player/stats'

function sample(packets: number, retransmitted: number): MediaSample {
  return {
    packets, retransmitted, bytes: 0, picturesDecoded: 0, width: 0, height: 0,
    picturesPerSecond: null, soundPackets: 0, lastPacketAgeMs: null,
  }
}

describe('the cushion', () => {
  it('is none on a way that loses nothing, or next to nothing', () => {
    const cushion = new Cushion()
    expect(cushion.take(null, 0)).toBe(0)
    expect(cushion.take(sample(1_000, 0), 1_000)).toBe(0)
    expect(cushion.take(sample(2_000, 9), 2_000)).toBe(0)
  })

  it('comes with loss, is counted since the sample before, and goes after half a minute of calm', () => {
    const cushion = new Cushion()
    expect(cushion.take(sample(1_000, 10), 1_000)).toBe(CUSHION_MS)
    expect(cushion.take(sample(2_000, 19), 30_999)).toBe(CUSHION_MS)
    expect(cushion.take(sample(3_000, 19), 31_000)).toBe(0)
    expect(cushion.take(sample(3_000, 19), 32_000)).toBe(0)
    expect(cushion.take(sample(3_500, 60), 33_000)).toBe(CUSHION_MS)
  })
})
