/**
 * Accounts, their roles, and grants: who may do what, where, when; and why (docs/rights.md).
 */
import { reactive } from 'vue'
import { jsonInit, type Api, type ApiError, type Result } from '../api'
import type { components } from '../openapi'
import { DEBOUNCE_MS } from '../state/channels'
import type { Page } from './api'

type Schemas = components['schemas']
export type Account = Schemas['SubjectOut']
export type Role = Schemas['RoleOut']
export type Grant = Schemas['GrantOut']
export type GrantDraft = Schemas['GrantCreate']
export type Action = Schemas['Action']
export type Explanation = Schemas['ExplanationOut']
export type Able = Schemas['WhoOut']

export interface AccountDraft {
  readonly username: string
  readonly display_name: string
  readonly password: string
  readonly home_area_id: string | null
}

/** Whose grants, with those by their roles; or those on exactly this area or camera. */
export type GrantsOf = { readonly subjectId: string } | { readonly areaId: string } | { readonly channelId: string }

/** What is listed at an address of an area's or a camera's grants: nothing while its field, that of `kind`, holds something else. */
export function grantsAt(
  route: { readonly area: string; readonly camera: string }, kind: 'area' | 'camera', held: { readonly area: string; readonly camera: string | null }, areaId: (code: string) => string | null,
): GrantsOf | null {
  if (kind === 'camera') return held.camera !== null && held.camera === route.camera ? { channelId: held.camera } : null
  const id = held.area.trim() === route.area ? areaId(route.area) : null
  return id === null ? null : { areaId: id }
}

const SUBJECTS = '/api/v1/subjects'
const ROLES = '/api/v1/roles'
const GRANTS = '/api/v1/grants'
const ACCOUNTS_A_PAGE = 50
/** As many as a list of the service has at most. */
const MOST_A_PAGE = 500
/** More than anybody has; the rest is the command line's. */
const MOST_GRANTS = 2_000

const at = (...parts: readonly string[]) => parts.map(encodeURIComponent).join('/')

export class PeopleApi {
  constructor(private readonly door: Api) {}

  /** For whoever manages the district, as all of accounts and roles. */
  accounts(q: string, cursor: string | null, signal?: AbortSignal): Promise<Result<Page<Account>>> {
    const query = new URLSearchParams({ limit: String(ACCOUNTS_A_PAGE), ...(q !== '' && { q }), ...(cursor !== null && { cursor }) })
    return this.door.get(`${SUBJECTS}?${query.toString()}`, signal)
  }

  account(id: string, signal?: AbortSignal): Promise<Result<Account>> {
    return this.door.get(`${SUBJECTS}/${at(id)}`, signal)
  }

  add(draft: AccountDraft): Promise<Result<Account>> {
    return this.door.request(SUBJECTS, jsonInit('POST', draft))
  }

  enable(id: string, enabled: boolean): Promise<Result<Account>> {
    return this.door.request(`${SUBJECTS}/${at(id)}`, jsonInit('PATCH', { enabled }))
  }

  roles(): Promise<Result<Page<Role>>> {
    return this.door.get(`${ROLES}?limit=${MOST_A_PAGE}`)
  }

  join(roleId: string, subjectId: string): Promise<Result<null>> {
    return this.door.request(`${ROLES}/${at(roleId, 'members', subjectId)}`, { method: 'PUT' })
  }

  leave(roleId: string, subjectId: string): Promise<Result<null>> {
    return this.door.request(`${ROLES}/${at(roleId, 'members', subjectId)}`, { method: 'DELETE' })
  }

  grants(of: GrantsOf, cursor: string | null, signal?: AbortSignal): Promise<Result<Page<Grant>>> {
    const query = new URLSearchParams({ limit: String(MOST_A_PAGE), ...(cursor !== null && { cursor }) })
    if ('subjectId' in of) query.set('subject_id', of.subjectId)
    else if ('areaId' in of) query.set('area_id', of.areaId)
    else query.set('channel_id', of.channelId)
    return this.door.get(`${GRANTS}?${query.toString()}`, signal)
  }

  /** Once for each `key`, however often it is sent. */
  grant(draft: GrantDraft, key: string): Promise<Result<Grant>> {
    return this.door.request(GRANTS, jsonInit('POST', draft, { 'Idempotency-Key': key }))
  }

  revoke(id: string): Promise<Result<null>> {
    return this.door.request(`${GRANTS}/${at(id)}`, { method: 'DELETE' })
  }

  /** `subject` is a user name or an id. */
  explain(channelId: string, subject: string, action: Action, signal?: AbortSignal): Promise<Result<Explanation>> {
    const query = new URLSearchParams({ subject, action })
    return this.door.get(`/api/v1/channels/${at(channelId, 'explain')}?${query.toString()}`, signal)
  }

  whoCan(channelId: string, cursor: string | null, signal?: AbortSignal): Promise<Result<Page<Able>>> {
    const query = new URLSearchParams({ ...(cursor !== null && { cursor }) })
    return this.door.get(`/api/v1/channels/${at(channelId, 'who-can')}?${query.toString()}`, signal)
  }
}

export interface AccountList {
  items: readonly Account[]
  total: number | null
  cursor: string | null
  loading: boolean
  error: ApiError | null
}

/** Accounts by a part of a name, page by page; a newer question cancels the older one. */
export class AccountFinder {
  readonly list = reactive<AccountList>({ items: [], total: null, cursor: null, loading: true, error: null })
  private q = ''
  private abort = new AbortController()
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly api: Pick<PeopleApi, 'accounts'>) {}

  /** Asks after the typing has paused. */
  search(q: string): void {
    this.stop()
    this.list.loading = true
    this.timer = setTimeout(() => void this.ask(q), DEBOUNCE_MS)
  }

  async ask(q: string): Promise<void> {
    this.stop()
    this.q = q.trim()
    await this.load(null)
  }

  async more(): Promise<void> {
    if (!this.list.loading && this.list.cursor !== null) await this.load(this.list.cursor)
  }

  /** One of them as it is now, in its place. */
  changed(account: Account): void {
    this.list.items = this.list.items.map((each) => (each.id === account.id ? account : each))
  }

  stop(): void {
    clearTimeout(this.timer)
    this.abort.abort()
  }

  private async load(cursor: string | null): Promise<void> {
    const { signal } = (this.abort = new AbortController())
    Object.assign(this.list, { loading: true, error: null })
    const result = await this.api.accounts(this.q, cursor, signal)
    if (signal.aborted || result.kind === 'aborted') return
    this.list.loading = false
    if (result.kind === 'error') {
      this.list.error = result.error
      if (cursor === null) Object.assign(this.list, { items: [], total: null, cursor: null })
      return
    }
    const { items, next_cursor: next, total } = result.value
    Object.assign(this.list, { items: cursor === null ? items : [...this.list.items, ...items], cursor: next, total })
  }
}

export interface GrantList {
  /** Newest first; null before the first answer. */
  grants: readonly Grant[] | null
  /** There are more than were read. */
  more: boolean
  error: ApiError | null
}

/** The grants of somebody, or on something. The service has them by creation, oldest first. */
export class GrantBook {
  readonly view = reactive<GrantList>({ grants: null, more: false, error: null })
  private of: GrantsOf | null = null
  private abort = new AbortController()

  constructor(private readonly api: Pick<PeopleApi, 'grants'>) {}

  async open(of: GrantsOf): Promise<void> {
    Object.assign(this.view, { grants: null, more: false, error: null })
    this.of = of
    await this.again()
  }

  close(): void {
    this.abort.abort()
    this.of = null
    Object.assign(this.view, { grants: null, more: false, error: null })
  }

  async again(): Promise<void> {
    if (this.of === null) return
    this.abort.abort()
    const { signal } = (this.abort = new AbortController())
    const found: Grant[] = []
    let cursor: string | null = null
    do {
      const result: Result<Page<Grant>> = await this.api.grants(this.of, cursor, signal)
      if (signal.aborted || result.kind === 'aborted') return
      if (result.kind === 'error') {
        this.view.error = result.error
        return
      }
      found.push(...result.value.items)
      cursor = result.value.next_cursor
    } while (cursor !== null && found.length < MOST_GRANTS)
    Object.assign(this.view, { grants: found.reverse(), more: cursor !== null, error: null })
  }
}
