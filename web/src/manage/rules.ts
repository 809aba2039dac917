/**
 * Rules of assignment: which area a camera's address, name or fact says it belongs to (docs/assignment.md).
 */
import { jsonInit, type Api, type Result } from '../api'

export const RULE_KINDS = ['address_prefix', 'name_prefix', 'fact', 'polygon'] as const
export type RuleKind = (typeof RULE_KINDS)[number]
/** As the service takes them. */
export const MAX_PRIORITY = 1_000_000
export const USUAL_PRIORITY = 100

export interface RuleDraft {
  readonly kind: RuleKind
  readonly area_id: string
  /** Of a fact alone: its key. */
  readonly field: string | null
  /** Null for boundaries. */
  readonly text: string | null
  readonly priority: number
}

export interface Rule extends RuleDraft {
  readonly id: string
}

const RULES = '/api/v1/assignment-rules'

export class RuleApi {
  constructor(private readonly door: Api) {}

  /** Those of the areas that one manages, in the order they are asked in. */
  rules(): Promise<Result<{ readonly items: readonly Rule[] }>> {
    return this.door.get(RULES)
  }

  add(draft: RuleDraft): Promise<Result<Rule>> {
    return this.door.request(RULES, jsonInit('POST', draft))
  }

  remove(id: string): Promise<Result<null>> {
    return this.door.request(`${RULES}/${encodeURIComponent(id)}`, { method: 'DELETE' })
  }
}

/** Only what its kind has: the service refuses the rest. Null where something is still missing. */
export function draftOf(kind: RuleKind, areaId: string | null, field: string, text: string, priority: string | number): RuleDraft | null {
  const at = Number(priority)
  const wanted = kind === 'polygon' ? null : text.trim()
  if (areaId === null || wanted === '' || (kind === 'fact' && field === '')) return null
  if (String(priority).trim() === '' || !Number.isInteger(at) || at < 0 || at > MAX_PRIORITY) return null
  return { kind, area_id: areaId, field: kind === 'fact' ? field : null, text: wanted, priority: at }
}
