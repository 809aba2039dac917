/**
 * The event feed of one view (server-sent events): parses, and hands typed words on.
 * A browser gives HTTP/1.1 six connections per host over all its windows: a second wall of four
 * would use them up. So with another window open a live view lets go of its feed, and takes it up
 * again when the picture stops (`windows.ts`, `Player`).
 */
import type { Profile } from '../api'
import { isStep, WARNINGS, type ServiceState, type Step } from './state'

export interface EventSourceLike {
  readonly readyState: number
  addEventListener(kind: string, listener: (event: { data?: unknown }) => void): void
  close(): void
}

export interface EventsListener {
  onStep(step: Step, elapsedMs: number): void
  onServiceState(state: ServiceState): void
  /** The service no longer knows this view (404, 401): the feed will not come back. */
  onGone(): void
}

const CLOSED = 2
const PROFILES: readonly Profile[] = ['main', 'sub']
const STATES: readonly string[] = ['opening', 'live', 'stale', 'lost', 'ended']

function parse(data: unknown): Record<string, unknown> | null {
  if (typeof data !== 'string') return null
  try {
    const value: unknown = JSON.parse(data)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

const str = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null)
const num = (value: unknown) => (typeof value === 'number' ? value : null)
const asProfile = (value: unknown) => PROFILES.find((known) => known === value) ?? null
const asStep = (value: unknown) => (typeof value === 'string' && isStep(value) ? value : null)

export function parseServiceState(data: unknown): ServiceState | null {
  const body = parse(data)
  const state = str(body?.state)
  if (body === null || state === null || !STATES.includes(state)) return null
  return {
    state: state as ServiceState['state'],
    reason: str(body.reason),
    detail: str(body.detail),
    step: asStep(body.step),
    retryInMs: num(body.retry_in_ms),
    // One that this page has no words for is not shown.
    warning: WARNINGS.find((known) => known === body.warning) ?? null,
    profile: asProfile(body.profile),
    wantedProfile: asProfile(body.wanted_profile),
    wantedReason: str(body.wanted_reason),
  }
}

/** Wires a feed to a listener; answers the function that closes it. */
export function listen(source: EventSourceLike, listener: EventsListener): () => void {
  source.addEventListener('step', (event) => {
    const body = parse(event.data)
    const step = asStep(body?.step)
    if (step !== null) listener.onStep(step, num(body?.elapsed_ms) ?? 0)
  })
  source.addEventListener('state', (event) => {
    const state = parseServiceState(event.data)
    if (state !== null) listener.onServiceState(state)
  })
  source.addEventListener('error', () => {
    // While the service is only away the browser reconnects by itself (readyState CONNECTING).
    if (source.readyState === CLOSED) listener.onGone()
  })
  return () => source.close()
}
