/**
 * The audit log as the page asks for it: one's own rows for everybody, all that one may see for
 * auditors. Through the one door (`api.ts`); the shapes are those of docs/audit.md.
 */
import type { Api, Result } from '../api'

export interface LogRow {
  readonly seq: number
  readonly at: string
  readonly act: string
  readonly outcome: 'ok' | 'refused' | 'failed'
  readonly subject_id: string | null
  readonly subject_name: string | null
  readonly remote: string | null
  readonly channel_id: string | null
  readonly channel_name: string | null
  readonly area_name: string | null
}

/** A view or a still: who looked at what, from when, until when. */
export interface Look {
  readonly seq: number | null
  readonly kind: 'view' | 'still'
  readonly view_id: string | null
  readonly subject_id: string | null
  readonly subject_name: string | null
  readonly remote: string | null
  readonly channel_id: string | null
  readonly channel_name: string | null
  readonly profile: string | null
  readonly began_at: string | null
  readonly ended_at: string | null
  readonly written_at: string | null
  readonly sent_bytes: number | null
  readonly outcome: string | null
  readonly purpose: string | null
}

export interface RowPage {
  readonly items: readonly LogRow[]
  readonly next_cursor: string | null
}

export interface LookPage {
  /** That go on; on the first page alone. */
  readonly open: readonly Look[]
  readonly items: readonly Look[]
  readonly next_cursor: string | null
}

/** `mine` has no other narrowing. */
export interface LogQuery {
  readonly mine: boolean
  /** A username or an id. */
  readonly person: string
  readonly channelId: string | null
  /** As an input of the kind datetime-local gives them: local time, or empty. */
  readonly since: string
  readonly until: string
}

const AUDIT = '/api/v1/audit'

export class LogApi {
  constructor(private readonly door: Api) {}

  rows(query: LogQuery, cursor: string | null, signal: AbortSignal): Promise<Result<RowPage>> {
    return this.door.get(`${AUDIT}${query.mine ? '/mine' : ''}?${search(query, cursor)}`, signal)
  }

  looks(query: LogQuery, cursor: string | null, signal: AbortSignal): Promise<Result<LookPage>> {
    return this.door.get(`${AUDIT}${query.mine ? '/mine' : ''}/views?${search(query, cursor)}`, signal)
  }
}

/** Where the rows that fit can be had as a file with its proof. */
export function exportUrl(query: LogQuery): string {
  const given = narrowed(query)
  given.set('format', 'csv')
  return `${AUDIT}/export?${given.toString()}`
}

function search(query: LogQuery, cursor: string | null): string {
  const given = narrowed(query)
  given.set('limit', '50')
  if (cursor !== null) given.set('cursor', cursor)
  return given.toString()
}

function narrowed(query: LogQuery): URLSearchParams {
  const given = new URLSearchParams()
  if (query.mine) return given
  if (query.person.trim() !== '') given.set('subject', query.person.trim())
  if (query.channelId !== null) given.set('channel_id', query.channelId)
  if (query.since !== '') given.set('since', new Date(query.since).toISOString())
  if (query.until !== '') given.set('until', new Date(query.until).toISOString())
  return given
}
