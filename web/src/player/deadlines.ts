/** How long the player waits for what, and why. Milliseconds. Pure. */

/** Opening looks often, so that the tile says live at the first picture; live looks rarely. */
export const OPENING_POLL_MS = 150
export const POLL_MS = 500
/** No packet for this long: the picture on the glass is old, and the tile says so. */
export const STALE_AFTER_MS = 2_000
/** Longer than the service's own word about a silent camera takes; then we ask anew. */
export const GIVE_UP_STALE_MS = 15_000
/** The service answers at once; a request this old is lost. */
export const ASK_DEADLINE_MS = 10_000
/** ICE and DTLS take about 50 ms on a LAN; a handshake is given up after 10 s. */
export const CONNECT_DEADLINE_MS = 10_000
/** Connected, and neither a picture nor a word about the camera: something swallows it. */
export const PICTURE_DEADLINE_MS = 25_000
/** A view that has been live this long lets go of its event feed (see `events.ts`). */
export const FEED_RELEASE_MS = 1_500
/** When the service names no time for the camera's next try, look again after this. */
export const FEED_RETRY_MS = 10_000
/** A view that held this long makes the next loss a first one: retries start quick again. */
export const SETTLED_MS = 15_000

export interface OpeningFacts {
  readonly nowMs: number
  readonly openedAtMs: number
  /** When the service answered the offer, null while it has not. */
  readonly answeredAtMs: number | null
  readonly connected: boolean
  readonly packets: number
}

/** Why an opening has taken too long, or null while it has not. Pure. */
export function overdue(facts: OpeningFacts): string | null {
  const { nowMs, openedAtMs, answeredAtMs } = facts
  if (answeredAtMs === null) return nowMs - openedAtMs >= ASK_DEADLINE_MS ? 'no_answer' : null
  if (!facts.connected) return nowMs - answeredAtMs >= CONNECT_DEADLINE_MS ? 'ice_failed' : null
  if (nowMs - openedAtMs < PICTURE_DEADLINE_MS) return null
  return facts.packets > 0 ? 'not_decoded' : 'no_media'
}

/** Whether to hold the event feed of a lost camera: only about the time of its next try. Pure. */
export function isFeedDue(retryAtMs: number | null, lostAtMs: number, nowMs: number): boolean {
  const tries = Math.ceil((nowMs - lostAtMs) / FEED_RETRY_MS)
  const dueAtMs = retryAtMs ?? lostAtMs + tries * FEED_RETRY_MS
  return dueAtMs - nowMs <= 2 * POLL_MS
}
