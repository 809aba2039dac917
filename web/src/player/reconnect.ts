/**
 * When a lost view is asked for again: context in, delay or null (never) out. Pure.
 * The camera's own retries are the service's affair and not decided here.
 */

export const FIRST_RETRY_MS = 500
/** A wall of tiles after a restart of the service must be back soon, yet not hammer it. */
export const MAX_RETRY_MS = 15_000
/** A `Retry-After` beyond this is treated as this: an operator must not wait blindly. */
export const MAX_RETRY_AFTER_MS = 60_000
export const JITTER = 0.2

export interface RetryContext {
  /** Failed attempts in a row, this one included; 1 after a view that had settled. */
  readonly attempt: number
  readonly reason: string
  readonly retryAfterMs: number | null
  /** 0 <= random < 1, spreads many tiles over time. */
  readonly random: number
}

export type ReconnectPolicy = (context: RetryContext) => number | null

/** Answers that will not change by asking again: a person or a setting has to change first. */
const PERMANENT: ReadonlySet<string> = new Set([
  'unauthenticated', 'forbidden', 'not_found', 'no_common_codec', 'malformed_sdp', 'channel_disabled', 'purpose_required',
  'purpose_note_required',   'no_webrtc',
])

/** Request timeout, too early, too many requests: the only 4xx that time alone can mend. */
const WORTH_ANOTHER_TRY: ReadonlySet<number> = new Set([408, 425, 429])

/** Ends of a view that were meant: revoked, run out, closed by somebody. Never asked for again. */
const MEANT: ReadonlySet<string> = new Set([
  'revoked', 'grant_ended', 'quota_lowered', 'sign_in_ended', 'closed_by_operator', 'closed_by_viewer', 'subject_disabled',
  'channel_removed', 'channel_disabled', 'channel_not_filed',
])

/** Of those, the ends that are the person's: they may have no sign-in any more. */
const OF_SIGN_IN: ReadonlySet<string> = new Set(['sign_in_ended', 'subject_disabled'])

/** `status` is that of the HTTP answer, 0 when the failure was none. */
export function isPermanent(reason: string, status = 0): boolean {
  return PERMANENT.has(reason) || (status >= 400 && status < 500 && !WORTH_ANOTHER_TRY.has(status))
}

export function isMeantEnd(reason: string): boolean {
  return MEANT.has(reason)
}

export function isEndOfSignIn(reason: string): boolean {
  return OF_SIGN_IN.has(reason)
}

export const defaultPolicy: ReconnectPolicy = ({ attempt, reason, retryAfterMs, random }) => {
  if (isPermanent(reason) || isMeantEnd(reason)) return null
  const doubled = FIRST_RETRY_MS * 2 ** Math.min(Math.max(attempt, 1) - 1, 10)
  const backoff = Math.min(doubled, MAX_RETRY_MS) * (1 - JITTER + 2 * JITTER * random)
  return Math.round(Math.max(backoff, Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS)))
}
