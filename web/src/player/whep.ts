/**
 * WHEP over HTTP (draft-ietf-wish-whep): POST an offer, DELETE the view, find its event feed.
 * Belongs here: the requests and their headers. Not here: peer connections, retries.
 */
import { errorFrom, isAbort, networkError, purposeHeaders, type ApiError, type Fetch, type Profile, type Stated } from '../api'

const EVENTS_REL = 'urn:ietf:params:whep:ext:core:server-sent-events'

export interface OpenedView {
  readonly viewId: string
  /** Paths on the service, resolved against the POST's own address. */
  readonly viewUrl: string
  readonly eventsUrl: string
  readonly answerSdp: string
}

export type PostResult =
  | { readonly kind: 'success'; readonly value: OpenedView }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'error'; readonly error: ApiError }

/** The target of the `Link` (RFC 8288) whose relation is `rel`, or null. */
export function findLink(header: string | null, rel: string): string | null {
  for (const match of (header ?? '').matchAll(/<([^>]*)>([^<]*)/g)) {
    const relations = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,]+))/i.exec(match[2] ?? '')
    const words = (relations?.[1] ?? relations?.[2] ?? '').split(/\s+/)
    if (words.includes(rel)) return match[1] ?? null
  }
  return null
}

/** Resolves a possibly relative header against the request's own path (no host needed). */
export function resolvePath(target: string, requestPath: string): string {
  const base = new URL(requestPath, 'http://page.invalid')
  const url = new URL(target, base)
  return url.host === base.host ? url.pathname + url.search : url.href
}

export async function postOffer(
  fetcher: Fetch, channelId: string, profile: Profile, stated: Stated | null, offerSdp: string, signal: AbortSignal,
): Promise<PostResult> {
  const path = `/whep/${encodeURIComponent(channelId)}?profile=${profile}`
  let response: Response
  let answerSdp: string
  try {
    response = await fetcher(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp', ...purposeHeaders(stated) },
      body: offerSdp,
      credentials: 'same-origin',
      cache: 'no-store',
      signal,
    })
    if (!response.ok) return { kind: 'error', error: await errorFrom(response) }
    answerSdp = await response.text()
  } catch (cause) {
    return isAbort(cause) ? { kind: 'aborted' } : { kind: 'error', error: networkError(cause) }
  }
  const location = response.headers.get('Location')
  if (location === null) {
    const error = { status: response.status, code: 'bad_answer', detail: null, retryAfterMs: null }
    return { kind: 'error', error }
  }
  const viewUrl = resolvePath(location, path)
  const link = findLink(response.headers.get('Link'), EVENTS_REL)
  const eventsUrl = link === null ? `${viewUrl}/events` : resolvePath(link, path)
  const viewId = viewUrl.split('?')[0]?.split('/').pop() ?? ''
  return { kind: 'success', value: { viewId, viewUrl, eventsUrl, answerSdp } }
}

/** Says goodbye so that the service need not time the view out; survives the page's own end. */
export async function deleteView(fetcher: Fetch, viewUrl: string): Promise<void> {
  try {
    await fetcher(viewUrl, { method: 'DELETE', keepalive: true, credentials: 'same-origin' })
  } catch {
    // Unreachable: the service ends the view by itself after 15 s without consent.
  }
}
