/**
 * Which of its channel's streams a view shows: what is wanted, what plays, and why they differ. The
 * service changes a running view over at a keyframe; until then the old picture stays.
 * Not here: opening views and what they are (`player.ts`).
 */
import type { Api, Profile } from '../api'
import { isPermanent } from './reconnect'
import type { ServiceState } from './state'

/** A change that failed for a passing reason is tried again after this, while the view lives. */
export const SWITCH_RETRY_MS = 5_000

/** Why the stream on the glass is not the one that is wanted. */
export type Change =
  /** `reason`: why it does not come yet, where the service says so. */
  | { readonly kind: 'awaited'; readonly to: Profile; readonly reason: string | null }
  | { readonly kind: 'refused'; readonly to: Profile; readonly reason: string }

export type Heard = Pick<ServiceState, 'profile' | 'wantedProfile' | 'wantedReason'>

export interface StreamsOptions {
  readonly wanted: Profile
  /** The streams that the channel has. */
  readonly profiles: readonly Profile[]
  readonly api: Pick<Api, 'switchView'>
  readonly onChange: () => void
}

export class Streams {
  playing: Profile
  private wanted: Profile
  /** What the service was told last: with the offer, or by a call it took. */
  private asked: Profile
  private waitsFor: string | null = null
  private refused: { readonly to: Profile; readonly reason: string } | null = null
  private viewId: string | null = null
  private calling = false
  private timer: ReturnType<typeof setTimeout> | null = null

  constructor(private readonly options: StreamsOptions) {
    this.wanted = this.asked = this.playing = options.wanted
  }

  get change(): Change | null {
    if (this.viewId === null || this.playing === this.wanted) return null
    if (this.refused !== null) return { kind: 'refused', ...this.refused }
    return { kind: 'awaited', to: this.wanted, reason: this.waitsFor }
  }

  /** What to ask for with a new view. */
  start(): Profile {
    this.waitsFor = null
    this.asked = this.wanted
    // What cannot be played here is not asked for again until somebody wants it anew.
    if (this.refused?.reason === NO_CODEC && this.asked === 'main') this.asked = 'sub'
    else this.refused = null
    return (this.playing = this.asked)
  }

  /** The view is there, and can be changed over. */
  opened(viewId: string): void {
    this.viewId = viewId
    void this.pursue()
  }

  /** The view is over. */
  leave(): void {
    this.viewId = null
    this.stopTimer()
  }

  want(profile: Profile): void {
    if (profile === this.wanted) return
    this.wanted = profile
    this.refused = this.waitsFor = null
    this.stopTimer()
    this.options.onChange()
    void this.pursue()
  }

  /** Forgets a refusal: somebody asks for the picture once more. */
  forgive(): void {
    this.refused = null
  }

  /** The service says what it shows, and why not what was asked for; true when that is news. */
  heard({ profile, wantedProfile, wantedReason }: Heard): boolean {
    const before = this.inWords()
    if (profile !== null) this.playing = profile
    this.waitsFor = wantedProfile === this.wanted ? wantedReason : null
    const staysHere = wantedProfile !== null && wantedProfile === profile && wantedReason !== null
    if (staysHere && this.asked === this.wanted && this.wanted !== profile) {
      // It was on its way, and the service learned that it can't go on to it.
      this.asked = profile
      this.refused = { to: this.wanted, reason: wantedReason }
    }
    return before !== this.inWords()
  }

  private inWords(): string {
    return JSON.stringify([this.playing, this.change])
  }

  /** Whether the sub stream is to be asked for, now that this browser cannot play the main one. */
  fallsBack(reason: string): boolean {
    const { asked, options } = this
    if (reason !== NO_CODEC || asked !== 'main' || !options.profiles.includes('sub')) return false
    this.refused = { to: 'main', reason }
    return true
  }

  /** Tells the service what is wanted, one call at a time; the newest wish wins. */
  private async pursue(): Promise<void> {
    if (this.calling) return
    this.calling = true
    while (this.viewId !== null && this.asked !== this.wanted && this.refused === null) {
      await this.call(this.viewId, this.wanted)
    }
    this.calling = false
  }

  private async call(viewId: string, to: Profile): Promise<void> {
    const result = await this.options.api.switchView(viewId, to)
    if (viewId !== this.viewId) return
    if (result.kind === 'success') {
      this.asked = to
      this.playing = result.value.profile
    } else if (result.kind === 'error' && to === this.wanted) {
      const { code, status, retryAfterMs } = result.error
      this.refused = { to, reason: code }
      if (!isPermanent(code, status)) this.retryLater(retryAfterMs)
    }
    this.options.onChange()
  }

  private retryLater(retryAfterMs: number | null): void {
    this.timer = setTimeout(() => {
      this.refused = null
      void this.pursue()
    }, Math.max(SWITCH_RETRY_MS, retryAfterMs ?? 0))
  }

  private stopTimer(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }
}

const NO_CODEC = 'no_common_codec'
