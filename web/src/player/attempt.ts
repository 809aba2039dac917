/** One attempt to get a picture: since when, and how far it came. Owns no clock. */
import { overdue } from './deadlines'

export class Attempt {
  /** When the service answered the offer, null while it has not. */
  answeredAtMs: number | null = null
  connected = false

  /** `redialled`: the service dialled the camera again within the same view. */
  constructor(readonly openedAtMs: number, private readonly redialled = false) {}

  /** The same view, the camera dialled again. */
  again(nowMs: number): Attempt {
    const attempt = new Attempt(nowMs, true)
    attempt.answeredAtMs = this.answeredAtMs
    attempt.connected = this.connected
    return attempt
  }

  /** Time of a step. The service counts from the view's start: of no use once it dialled again. */
  elapsedMs(nowMs: number, serviceElapsedMs: number | null): number {
    const own = nowMs - this.openedAtMs
    return Math.max(0, this.redialled ? own : (serviceElapsedMs ?? own))
  }

  /** Why this has taken too long, or null while it has not. */
  overdue(nowMs: number, packets: number): string | null {
    const { openedAtMs, answeredAtMs, connected } = this
    return overdue({ nowMs, openedAtMs, answeredAtMs, connected, packets })
  }
}
