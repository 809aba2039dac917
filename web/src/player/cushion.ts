/**
 * How long pictures wait before they are shown, so that packets that must be sent again come in time.
 * None on a way that loses nothing: a live picture is live. Pure over the samples it is fed.
 */
import type { MediaSample } from './stats'

/** Two tries to have a lost packet sent again; browsers wait 100 ms between them. */
export const CUSHION_MS = 200
/** Of the packets since the sample before, this share sent again makes the cushion worth its delay. */
const LOSSY_SHARE = 0.01
/** A way that was lossy is trusted again after this long without loss. */
const CALM_AFTER_MS = 30_000

export class Cushion {
  private last: MediaSample | null = null
  private lossyUntilMs = 0

  /** Takes a sample in; gives the wait in milliseconds. */
  take(sample: MediaSample | null, nowMs: number): number {
    if (sample !== null) {
      const packets = sample.packets - (this.last?.packets ?? 0)
      const again = sample.retransmitted - (this.last?.retransmitted ?? 0)
      if (packets > 0 && again / packets >= LOSSY_SHARE) this.lossyUntilMs = nowMs + CALM_AFTER_MS
      this.last = sample
    }
    return nowMs < this.lossyUntilMs ? CUSHION_MS : 0
  }
}
