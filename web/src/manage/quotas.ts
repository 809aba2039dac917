/**
 * Quotas: how much an area's people, or one subject, may watch at once (docs/quotas.md).
 */
import { jsonInit, type Api, type Result } from '../api'
import type { components } from '../openapi'

type Schemas = components['schemas']
export type Quota = Schemas['QuotaOut']
export type Quotas = Schemas['QuotaList']
export type Account = Schemas['SubjectOut']
/** Of an area's people, or of one account. */
export type Holder = Pick<Quota, 'area_id' | 'subject_id'>

/** What a form has typed in; empty is no limit, and nothing kept. */
export interface QuotaForm {
  readonly views: string | number
  readonly mbps: string | number
  readonly keptViews: string | number
  readonly keptMbps: string | number
}

export interface QuotaDraft {
  readonly max_views: number | null
  readonly max_bps: number | null
  /** Left out by who may not say it. */
  readonly kept_views?: number
  readonly kept_bps?: number
}

/** As the service takes them. */
export const MAX_VIEWS = 100_000
export const MAX_MBPS = 1_000_000

const QUOTAS = '/api/v1/quotas'
/** More than an area has; the rest is the command line's. */
const SHOWN = 500
/** Accounts to choose from, of those that what was typed is a part of. */
const ACCOUNTS = 20

export class QuotaApi {
  constructor(private readonly door: Api) {}

  /** Those one is under and those one manages, with what is in use now. */
  quotas(): Promise<Result<Quotas>> {
    return this.door.get(`${QUOTAS}?limit=${SHOWN}`)
  }

  set(holder: Holder, draft: QuotaDraft): Promise<Result<Quota>> {
    return this.door.request(this.path(holder), jsonInit('PUT', draft))
  }

  remove(holder: Holder): Promise<Result<null>> {
    return this.door.request(this.path(holder), { method: 'DELETE' })
  }

  /** For whoever manages the district. */
  accounts(q: string, signal: AbortSignal): Promise<Result<Schemas['SubjectList']>> {
    const query = new URLSearchParams({ q, limit: String(ACCOUNTS) })
    return this.door.get(`/api/v1/subjects?${query.toString()}`, signal)
  }

  private path({ area_id: areaId, subject_id: subjectId }: Holder): string {
    const holder = areaId === null ? `subjects/${encodeURIComponent(subjectId ?? '')}` : `areas/${encodeURIComponent(areaId)}`
    return `${QUOTAS}/${holder}`
  }
}

/** Null where something is no number, or all of it is empty. */
export function quotaDraft(form: QuotaForm, mayKeep: boolean): QuotaDraft | null {
  const [views, keptViews] = [form.views, form.keptViews].map((each) => amount(each, MAX_VIEWS, 1))
  const [bps, keptBps] = [form.mbps, form.keptMbps].map((each) => amount(each, MAX_MBPS, 1e6))
  if (views === undefined || bps === undefined || keptViews === undefined || keptBps === undefined) return null
  const limits = { max_views: views, max_bps: bps }
  if (!mayKeep) return views === null && bps === null ? null : limits
  if (views === null && bps === null && !keptViews && !keptBps) return null
  return { ...limits, kept_views: keptViews ?? 0, kept_bps: keptBps ?? 0 }
}

/** Null when it is empty, undefined when it is no amount. Views are whole. */
function amount(typed: string | number, most: number, unit: number): number | null | undefined {
  if (String(typed).trim() === '') return null
  const n = Number(typed)
  if (!Number.isFinite(n) || n < 0 || n > most || (unit === 1 && !Number.isInteger(n))) return undefined
  return Math.round(n * unit)
}

/** Bits per second as people read them. */
export function mbpsText(bps: number): string {
  return (bps / 1e6).toFixed(bps > 0 && bps < 10e6 ? 1 : 0)
}

/** How full: 0 to 1 and beyond; null without a limit. */
export function share(used: number, limit: number | null): number | null {
  if (limit === null) return null
  return limit === 0 ? 1 : used / limit
}
