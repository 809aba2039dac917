/**
 * Assignment: what would move, who would then see what, and carrying it out (docs/assignment.md).
 */
import { jsonInit, type Api, type Result } from '../api'
import type { Chosen, Filing } from './filing'

export interface Move {
  readonly id: string
  readonly code: string
  readonly name: string
  /** As it is after the move. */
  readonly filing: Filing
  readonly from_area_id: string
  readonly to_area_id: string
  /** Null: the boundaries say so. */
  readonly rule_id: string | null
  /** The boundary is a drawing, not a survey. */
  readonly schematic: boolean
}

interface Seen {
  readonly id: string
  readonly code: string
  readonly name: string
}

export interface Audience {
  readonly subject_id: string
  readonly display_name: string
  readonly gained: number
  readonly lost: number
  /** The first of them. */
  readonly gained_cameras: readonly Seen[]
  readonly lost_cameras: readonly Seen[]
}

export interface Plan {
  readonly plan: string
  readonly looked_at: number
  readonly moves: number
  readonly schematic: number
  readonly unplaced: number
  readonly beyond: number
  /** They would move, and somebody is denied them where they are. */
  readonly refused: number
  /** The first of the moves. */
  readonly items: readonly Move[]
  /** Null for whoever does not manage the district. */
  readonly audience: readonly Audience[] | null
}

export class AssignApi {
  constructor(private readonly door: Api) {}

  /** Changes nothing; null is all cameras. */
  preview(chosen: Chosen | null): Promise<Result<Plan>> {
    return this.door.request('/api/v1/assignment/preview', jsonInit('POST', chosen ?? {}))
  }

  /** Carries out what `plan` showed; refused as `registry_changed` when it would be another by now. */
  apply(chosen: Chosen | null, plan: string): Promise<Result<{ readonly moved: number }>> {
    return this.door.request('/api/v1/assignment/apply', jsonInit('POST', { ...chosen, plan }))
  }
}

/** Names that a sentence still bears. */
const NAMED = 5

export interface Effect {
  readonly kind: 'gained' | 'lost'
  readonly n: number
  readonly who: string
  readonly names: readonly string[]
  readonly more: boolean
}

/** Who would see what, or no longer: those that gain first, the largest first. */
export function effects(plan: Plan): readonly Effect[] {
  const all = (plan.audience ?? []).flatMap((each): Effect[] => [
    effect('gained', each.gained, each.display_name, each.gained_cameras), effect('lost', each.lost, each.display_name, each.lost_cameras),
  ])
  const rank = (each: Effect) => (each.kind === 'gained' ? 0 : 1)
  return all.filter((each) => each.n > 0).sort((a, b) => rank(a) - rank(b) || b.n - a.n)
}

function effect(kind: Effect['kind'], n: number, who: string, cameras: readonly Seen[]): Effect {
  return { kind, n, who, names: cameras.slice(0, NAMED).map((each) => each.name), more: n > NAMED }
}
