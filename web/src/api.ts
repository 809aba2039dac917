/**
 * The one door to the service's HTTP API. Every call answers a tagged union, so that a screen must
 * handle all three ends: success, aborted (we no longer want it), error (with a stable code).
 * Belongs here: requests and the shapes of their bodies. Not here: WHEP (`player/whep.ts`), words
 * for people (`locales`), what only the cameras' managers call (`manage/api.ts`, through `request`
 * here). Anything in the page may call it.
 */

import type { components } from './openapi'

export interface ApiError {
  /** HTTP status; 0 when no answer came at all. */
  readonly status: number
  /** Stable machine-readable code of the problem body; `network`, `bad_body` or `http_<n>` else. */
  readonly code: string
  readonly detail: string | null
  readonly retryAfterMs: number | null
  /** The field of the request that is wrong, where the answer names one. */
  readonly field?: string
  /** Who steers the camera, of `ptz_held`. */
  readonly heldBy?: string
  /** Which quota is full, and who holds it, of `quota_exceeded`. */
  readonly quota?: QuotaFull
}

export type Result<T> =
  | { readonly kind: 'success'; readonly value: T }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'error'; readonly error: ApiError }

// As the service describes them; `scripts/web-build types` writes them anew.
type Schemas = components['schemas']
export type QuotaFull = NonNullable<Schemas['Problem']['quota']>
export type Profile = 'main' | 'sub'
export type AreaKind = Schemas['AreaKind']
export type Filing = Schemas['Filing']
export type DeviceClass = Schemas['DeviceClass']
export type Me = Schemas['Me']
export type Due = NonNullable<Me['due']>
export type Area = Schemas['AreaRow']
/** Those that one does not manage are filed, or not there. */
export type Channel = Schemas['ChannelOut']
export type ChannelPage = Schemas['ChannelList']
/** A reason for looking that the district accepts. */
export type Purpose = Schemas['PurposeOut']
/** Whether the first administrator is still to be made, and the district with it. */
export type SetupState = Schemas['SetupState']
export type SetupDraft = Schemas['SetupIn']

/** What somebody said that it is for: a purpose's code, and words of their own or ''. */
export interface Stated {
  readonly purpose: string
  readonly note: string
}

export interface ChannelQuery {
  readonly q?: string
  readonly areaId?: string | null
  readonly filing?: Filing | null
  readonly cursor?: string | null
  readonly limit?: number
}

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>

export interface ApiOptions {
  readonly fetch?: Fetch
  /** Called once per answer 401 of a signed-in call, before the error is handed back. */
  readonly onUnauthenticated?: () => void
}

/** `Retry-After` in its two forms (RFC 9110 section 10.2.3), as milliseconds from `nowMs`. */
export function parseRetryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null
  const trimmed = header.trim()
  if (/^\d+$/.test(trimmed)) return Number(trimmed) * 1000
  const at = Date.parse(trimmed)
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs)
}

/** Reads an RFC 9457 problem body; an answer without one still gets a code of its own. */
export async function errorFrom(response: Response, nowMs = Date.now()): Promise<ApiError> {
  let code = `http_${response.status}`
  let detail: string | null = null
  let field: string | undefined
  let heldBy: string | undefined
  let quota: QuotaFull | undefined
  try {
    const body: unknown = await response.json()
    if (typeof body === 'object' && body !== null) {
      if ('code' in body && typeof body.code === 'string') code = body.code
      if ('detail' in body && typeof body.detail === 'string') detail = body.detail
      if ('held_by' in body && typeof body.held_by === 'string') heldBy = body.held_by
      if ('quota' in body && typeof body.quota === 'object') quota = body.quota as QuotaFull
      field = fieldOf(body)
    }
  } catch {
    // A proxy's HTML page, or no body: the status has to do.
  }
  const retryAfterMs = parseRetryAfter(response.headers.get('Retry-After'), nowMs)
  return {
    status: response.status, code, detail, retryAfterMs,
    ...(field !== undefined && { field }), ...(heldBy !== undefined && { heldBy }), ...(quota !== undefined && { quota }),
  }
}

/** `field` of the registry's refusals; of a malformed request the first of `fields`, as "body.lon". */
function fieldOf(body: object): string | undefined {
  if ('field' in body && typeof body.field === 'string') return body.field
  if (!('fields' in body) || !Array.isArray(body.fields)) return undefined
  const first = (body.fields as readonly { readonly field?: unknown }[])[0]?.field
  return typeof first === 'string' ? first.split('.').at(1) : undefined
}

export function networkError(cause: unknown): ApiError {
  const detail = cause instanceof Error ? cause.message : null
  return { status: 0, code: 'network', detail, retryAfterMs: null }
}

export function isAbort(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'AbortError'
}

export class Api {
  private readonly fetch: Fetch
  private readonly onUnauthenticated: () => void

  constructor(options: ApiOptions = {}) {
    this.fetch = options.fetch ?? ((input, init) => fetch(input, init))
    this.onUnauthenticated = options.onUnauthenticated ?? (() => undefined)
  }

  /** Signs in; the service sets an HttpOnly cookie, the page never holds a secret. */
  async signIn(username: string, password: string, code: string | null = null): Promise<Result<null>> {
    return this.send('/api/v1/sign-in', { body: { username, password, code }, signIn: true })
  }

  async setupState(): Promise<Result<SetupState>> {
    return this.get<SetupState>('/api/v1/setup')
  }

  async setUp(draft: SetupDraft): Promise<Result<null>> {
    return this.send('/api/v1/setup', { body: draft, signIn: true })
  }

  /** Who signed in by a provider goes on there, to sign out of it, too. */
  async signOut(): Promise<Result<{ readonly continue_at: string } | null>> {
    return this.request('/api/v1/sign-out', jsonInit('POST', {}), true)
  }

  /** Whether one may sign in by an OpenID provider, and what people call it. */
  async oidc(): Promise<Result<{ readonly enabled: boolean; readonly label: string | null }>> {
    return this.get('/api/v1/oidc')
  }

  async me(signal?: AbortSignal): Promise<Result<Me>> {
    return this.get('/api/v1/me', signal)
  }

  async areas(signal?: AbortSignal): Promise<Result<{ readonly items: readonly Area[] }>> {
    return this.get('/api/v1/areas', signal)
  }

  async purposes(signal?: AbortSignal): Promise<Result<{ readonly items: readonly Purpose[] }>> {
    return this.get('/api/v1/purposes', signal)
  }

  async channels(query: ChannelQuery, signal?: AbortSignal): Promise<Result<ChannelPage>> {
    const search = new URLSearchParams({ limit: String(query.limit ?? 50) })
    if (query.q) search.set('q', query.q)
    if (query.areaId) search.set('area_id', query.areaId)
    if (query.filing) search.set('filing', query.filing)
    if (query.cursor) search.set('cursor', query.cursor)
    return this.get(`/api/v1/channels?${search.toString()}`, signal)
  }

  /** Changes a running view of one's own over to another stream of its channel, in place. */
  async switchView(viewId: string, profile: Profile): Promise<Result<{ readonly profile: Profile }>> {
    return this.request(`/api/v1/views/${encodeURIComponent(viewId)}/profile`, jsonInit('PUT', { profile }))
  }

  /** Has the camera's sound sent to a running view of one's own, or no longer. */
  async setSound(viewId: string, on: boolean): Promise<Result<unknown>> {
    return this.request(`/api/v1/views/${encodeURIComponent(viewId)}/audio`, jsonInit('PUT', { on }))
  }

  /** The service's own health; answered without a sign-in. */
  async health(signal?: AbortSignal): Promise<Result<{ readonly status: string }>> {
    return this.get('/healthz', signal)
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<Result<T>> {
    return this.request<T>(path, { headers: { Accept: 'application/json' }, ...(signal && { signal }) })
  }

  /** A file, whole. */
  async file(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Result<Blob>> {
    return this.read(await this.ask(path, { headers }), (response) => response.blob())
  }

  async request<T>(path: string, init: RequestInit, signIn = false): Promise<Result<T>> {
    return this.read(await this.ask(path, init, signIn), async (response) =>
      response.status === 204 ? (null as T) : ((await response.json()) as T),
    )
  }

  private async send(path: string, options: { body: object; signIn: boolean }): Promise<Result<null>> {
    const result = await this.request<unknown>(path, jsonInit('POST', options.body), options.signIn)
    return result.kind === 'success' ? { kind: 'success', value: null } : result
  }

  private async ask(path: string, init: RequestInit, signIn = false): Promise<Result<Response>> {
    let response: Response
    try {
      response = await this.fetch(path, { credentials: 'same-origin', cache: 'no-store', ...init })
    } catch (cause) {
      return isAbort(cause) ? { kind: 'aborted' } : { kind: 'error', error: networkError(cause) }
    }
    if (response.ok) return { kind: 'success', value: response }
    // A wrong password is the sign-in screen's own 401: nobody is thrown out by it.
    if (response.status === 401 && !signIn) this.onUnauthenticated()
    return { kind: 'error', error: await errorFrom(response) }
  }

  private async read<T>(answer: Result<Response>, body: (response: Response) => Promise<T>): Promise<Result<T>> {
    if (answer.kind !== 'success') return answer
    try {
      return { kind: 'success', value: await body(answer.value) }
    } catch (cause) {
      if (isAbort(cause)) return { kind: 'aborted' }
      const error = { status: answer.value.status, code: 'bad_body', detail: null, retryAfterMs: null }
      return { kind: 'error', error }
    }
  }
}

export function jsonInit(method: 'POST' | 'PUT' | 'PATCH', body: object, headers: Readonly<Record<string, string>> = {}): RequestInit {
  return {
    method,
    headers: { 'Content-Type': 'application/json', Accept: 'application/json', ...headers },
    body: JSON.stringify(body),
  }
}

/** Headers that say what a request is for. A header takes no Chinese as it is (RFC 9110 section 5.5). */
export function purposeHeaders(stated: Stated | null): Record<string, string> {
  if (stated === null) return {}
  const note = stated.note === '' ? {} : { 'Streamhub-Purpose-Note': encodeURIComponent(stated.note) }
  return { 'Streamhub-Purpose': stated.purpose, ...note }
}

/** Where a picture of the channel can be opened, in a tab of its own. */
export function snapshotUrl(channelId: string, profile: Profile): string {
  return `/api/v1/channels/${encodeURIComponent(channelId)}/snapshot.jpg?profile=${profile}`
}
