/**
 * Whether one hears the camera. The service sends sound (G.711) only to a view that asked for it.
 * Not here: the element that plays it, and which tile of a wall may be heard (`state/`).
 */
import type { Api } from '../api'

/** Sound comes 50 times a second: none for so long is a camera that sends none. */
export const SOUND_DEADLINE_MS = 3_000

/** `none`: asked for, and the camera sends none. */
export type SoundState = 'off' | 'on' | 'none' | 'failed'

export interface SoundOptions {
  readonly api: Pick<Api, 'setSound'>
  readonly onChange: () => void
}

export class Sound {
  private wanted = false
  /** What the service was told last; a view begins without sound. */
  private asked = false
  private failed = false
  private packets = 0
  private lastHeardMs: number | null = null
  private overdue = false
  private viewId: string | null = null
  private calling = false

  constructor(private readonly options: SoundOptions) {}

  get state(): SoundState {
    if (!this.wanted) return 'off'
    if (this.failed) return 'failed'
    return this.overdue ? 'none' : 'on'
  }

  opened(viewId: string): void {
    this.viewId = viewId
    this.asked = this.failed = this.overdue = false
    this.packets = 0
    void this.pursue()
  }

  /** The view is over. */
  leave(): void {
    this.viewId = null
  }

  want(on: boolean): void {
    if (on === this.wanted) return
    this.wanted = on
    this.failed = this.overdue = false
    this.options.onChange()
    void this.pursue()
  }

  /** Takes in how many packets of sound the view got so far. */
  take(packets: number, nowMs: number): void {
    if (!this.asked || packets !== this.packets) this.lastHeardMs = nowMs
    this.packets = packets
    this.overdue = this.asked && nowMs - (this.lastHeardMs ??= nowMs) >= SOUND_DEADLINE_MS
  }

  /** Tells the service, one call at a time; the newest wish wins. */
  private async pursue(): Promise<void> {
    if (this.calling) return
    this.calling = true
    while (this.viewId !== null && this.asked !== this.wanted && !this.failed) {
      const { viewId, wanted } = this
      const result = await this.options.api.setSound(viewId, wanted)
      if (viewId !== this.viewId) continue
      if (result.kind === 'success') this.asked = wanted
      else if (wanted === this.wanted) this.failed = true
    }
    this.calling = false
    this.options.onChange()
  }
}
