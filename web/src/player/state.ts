/**
 * What a player can be, as one union of named shapes, and the vocabulary around it.
 * Belongs here: types and tiny pure helpers. Not here: anything that owns a socket or a timer.
 * Times ending in `AtMs` are milliseconds since the Unix epoch on a clock that never jumps.
 */
import type { Profile, QuotaFull } from '../api'

/** Steps of a view, in words shared with the service, plus two of the page's own. */
export const STEPS = [
  'offer', 'ask', // the page: writing the offer, asking the service
  'permit', 'dial', 'connected', 'describe', 'setup', 'play', 'first_packet', 'first_keyframe',
  'ice', 'dtls', 'first_sent',
] as const
export type Step = (typeof STEPS)[number]

export function isStep(word: string): word is Step {
  return (STEPS as readonly string[]).includes(word)
}

/** A step that was reached, and how long after the start of this attempt. */
export interface StepMark {
  readonly step: Step
  readonly elapsedMs: number
}

export interface Failure {
  /** Machine-readable code of the service or of the page (`network`, `ice_failed`, ...). */
  readonly reason: string
  readonly detail: string | null
  /** The last step that was reached before it failed. */
  readonly step: Step | null
  readonly retryAfterMs: number | null
  /** Of `quota_exceeded`. */
  readonly quota?: QuotaFull
}

export function failed(reason: string, step: Step | null, detail: string | null = null): Failure {
  return { reason, detail, step, retryAfterMs: null }
}

export type PlayerState =
  | { readonly kind: 'idle' }
  | {
      readonly kind: 'opening'
      readonly step: Step
      readonly startedAtMs: number
      readonly marks: readonly StepMark[]
    }
  /** `warning`: what is wrong with the camera although its picture comes. */
  | { readonly kind: 'live'; readonly lastPacketAtMs: number; readonly warning: Warning | null }
  | { readonly kind: 'stale'; readonly lastPacketAtMs: number }
  | {
      readonly kind: 'lost'
      /** `camera`: the service retries, the view lives on. `view`: the page asks for a new one. */
      readonly retriedBy: 'camera' | 'view'
      readonly reason: string
      readonly detail: string | null
      readonly step: Step | null
      readonly atMs: number
      readonly retryAtMs: number | null
      /** Of `quota_exceeded`. */
      readonly quota?: QuotaFull
      readonly lastPacketAtMs: number | null
    }
  | {
      readonly kind: 'refused'
      readonly reason: string
      readonly detail: string | null
      readonly atMs: number
    }
  | {
      readonly kind: 'ended'
      readonly reason: string
      readonly detail: string | null
      readonly atMs: number
    }

/** What the service may say of a camera whose picture comes. */
export const WARNINGS = ['b_frames'] as const
export type Warning = (typeof WARNINGS)[number]

/** `event: state` of a view's event feed. */
export interface ServiceState {
  readonly state: 'opening' | 'live' | 'stale' | 'lost' | 'ended'
  readonly reason: string | null
  readonly detail: string | null
  /** The last step reached. */
  readonly step: Step | null
  readonly retryInMs: number | null
  readonly warning: Warning | null
  /** The stream that is shown, the one that was asked for, and why that one does not come. */
  readonly profile: Profile | null
  readonly wantedProfile: Profile | null
  readonly wantedReason: string | null
}

/** When the newest packet of this player came, or null when none ever did. */
export function packetAtMs(state: PlayerState): number | null {
  return 'lastPacketAtMs' in state ? state.lastPacketAtMs : null
}

/** Milliseconds since the epoch, from the monotonic clock: it does not follow NTP corrections. */
export function monotonicNowMs(): number {
  return performance.timeOrigin + performance.now()
}
