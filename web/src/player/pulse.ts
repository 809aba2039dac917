/**
 * The heartbeat of one view: when its newest packet came, and whether pictures are decoded.
 * Pure over the samples it is fed.
 */
import { STALE_AFTER_MS } from './deadlines'
import type { MediaSample } from './stats'

export class Pulse {
  last: MediaSample | null = null
  /** 0 before the first packet. */
  lastPacketAtMs = 0

  /** Takes a sample in; true when a picture was decoded since the one before. */
  take(sample: MediaSample | null, nowMs: number): boolean {
    if (sample === null) return false
    const decoded = sample.picturesDecoded > (this.last?.picturesDecoded ?? 0)
    if (sample.lastPacketAgeMs !== null) this.lastPacketAtMs = nowMs - sample.lastPacketAgeMs
    else if (sample.packets > (this.last?.packets ?? 0)) this.lastPacketAtMs = nowMs
    this.last = sample
    return decoded
  }

  isFresh(nowMs: number): boolean {
    return nowMs - this.lastPacketAtMs < STALE_AFTER_MS
  }
}
