/** Quotas in the mocked service, and what is in use of them. */
import type { Quota, QuotaDraft, Quotas } from '../src/manage/quotas'
import { areas } from './data.ts'
import { ok, refuse, type Answer } from './manage.ts'
import { accounts } from './people.ts'

let quotas: readonly Quota[] = []
const BPS = 600_000

export function quotasAnswer(method: string, id: string | undefined, holder: string | undefined, body: string): Answer {
  if (id === undefined) {
    const capacity = { max_views: 2000, max_bps: 4e9, kept_views: kept(), kept_bps: 0, views: 7, bps: 7 * BPS }
    return ok({ items: quotas, next_cursor: null, total: quotas.length, capacity } satisfies Quotas)
  }
  const area = id === 'areas' ? areas.find((each) => each.id === holder) : undefined
  const account = id === 'subjects' ? accounts.find((each) => each.id === holder) : undefined
  if (area === undefined && account === undefined) return refuse(404, 'not_found', 'There is no such thing, or it is not yours to see.')
  const others = quotas.filter((each) => (each.area_id ?? each.subject_id) !== holder)
  if (method === 'DELETE') {
    if (others.length === quotas.length) return refuse(404, 'not_found', `There is no quota '${holder}'.`)
    quotas = others
    return ok(null, 204)
  }
  const draft = JSON.parse(body) as QuotaDraft
  if (draft.max_views === null && draft.max_bps === null && !draft.kept_views && !draft.kept_bps) {
    return refuse(422, 'quota_empty', 'Give a limit or what is kept; or remove the quota.', 'max_views')
  }
  const quota: Quota = {
    area_id: area?.id ?? null, area_name: area?.name ?? null, subject_id: account?.id ?? null, subject_name: account?.username ?? null, max_views: draft.max_views, max_bps: draft.max_bps,
    kept_views: draft.kept_views ?? 0, kept_bps: draft.kept_bps ?? 0, views: 7, bps: 7 * BPS, may_set: true,
  }
  quotas = [...others, quota]
  return ok(quota)
}

function kept(): number {
  return quotas.reduce((sum, each) => sum + each.kept_views, 0)
}
