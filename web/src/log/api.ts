/**
 * The audit log as the page asks for it: one's own rows for everybody, all that one may see for
 * auditors. Through the one door (`api.ts`); the shapes are those of docs/audit.md.
 */
import { jsonInit, type Api, type Result, type Stated } from '../api'
import type { components } from '../openapi'

type Schemas = components['schemas']
/** An export that somebody asked for, and what became of it. */
export type ExportRequest = Schemas['ExportOut']
export type ExportList = Schemas['ExportList']
export type ExportFormat = ExportRequest['format']
/** In the order in which they are offered; names, the same in every language. */
export const EXPORT_FORMATS: Readonly<Record<ExportFormat, string>> = { csv: 'CSV', jsonl: 'JSON Lines' }
export const OUTCOMES = ['ok', 'refused', 'failed'] as const
export type Outcome = (typeof OUTCOMES)[number]

export interface LogRow {
  readonly seq: number
  readonly at: string
  readonly act: string
  readonly outcome: Outcome
  readonly subject_id: string | null
  readonly subject_name: string | null
  readonly remote: string | null
  readonly channel_id: string | null
  readonly channel_name: string | null
  readonly area_name: string | null
  readonly detail: Readonly<Record<string, unknown>>
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
  /** All that were shown, the first first. */
  readonly profiles: readonly string[]
  readonly began_at: string | null
  readonly ended_at: string | null
  readonly written_at: string | null
  readonly sent_bytes: number | null
  readonly outcome: string | null
  readonly purpose: string | null
  readonly purpose_note: string | null
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
  /** With all below it. */
  readonly areaId: string | null
  /** Any of these; none is every act. */
  readonly acts: readonly string[]
  readonly outcome: Outcome | null
  /** A part of its code or of its note. */
  readonly purpose: string
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

  exports(cursor: string | null, signal: AbortSignal): Promise<Result<ExportList>> {
    return this.door.get(`${AUDIT}/exports?${paged(new URLSearchParams(), cursor)}`, signal)
  }

  /** The rows that fit and were written until now. */
  askForExport(query: LogQuery, format: ExportFormat, stated: Stated): Promise<Result<ExportRequest>> {
    const body = { format, purpose: stated.purpose, purpose_note: stated.note === '' ? null : stated.note }
    return this.door.request(`${AUDIT}/exports?${narrowed(query).toString()}`, jsonInit('POST', body))
  }

  approve(id: string): Promise<Result<ExportRequest>> {
    return this.door.request(`${exportPath(id)}/approve`, jsonInit('POST', {}))
  }

  refuse(id: string, reason: string): Promise<Result<ExportRequest>> {
    return this.door.request(`${exportPath(id)}/refuse`, jsonInit('POST', { reason }))
  }

  /** An approved export, with its proof, for who asked for it. */
  fetchExport(id: string): Promise<Result<Blob>> {
    return this.door.file(`${exportPath(id)}/file`)
  }

  /** The rows that fit as a file with its proof, where one person exports alone. */
  exportNow(query: LogQuery, format: ExportFormat): Promise<Result<Blob>> {
    const given = narrowed(query)
    given.set('format', format)
    return this.door.file(`${AUDIT}/export?${given.toString()}`)
  }
}

function exportPath(id: string): string {
  return `${AUDIT}/exports/${encodeURIComponent(id)}`
}

function search(query: LogQuery, cursor: string | null): string {
  return paged(narrowed(query), cursor)
}

function paged(given: URLSearchParams, cursor: string | null): string {
  given.set('limit', '50')
  if (cursor !== null) given.set('cursor', cursor)
  return given.toString()
}

function narrowed(query: LogQuery): URLSearchParams {
  const given = new URLSearchParams()
  if (query.mine) return given
  if (query.person.trim() !== '') given.set('subject', query.person.trim())
  if (query.channelId !== null) given.set('channel_id', query.channelId)
  if (query.areaId !== null) given.set('area_id', query.areaId)
  for (const act of query.acts) given.append('act', act)
  if (query.outcome !== null) given.set('outcome', query.outcome)
  if (query.purpose !== '') given.set('purpose', query.purpose)
  if (query.since !== '') given.set('since', new Date(query.since).toISOString())
  if (query.until !== '') given.set('until', new Date(query.until).toISOString())
  return given
}
