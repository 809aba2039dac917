/**
 * Filing: how far a camera is on its way to the operators, and the steps (docs/filing.md).
 */
import { jsonInit, type Api, type Filing, type Result } from '../api'

export type { Filing }
export const FILINGS: readonly Filing[] = ['draft', 'reviewed', 'filed']
/** As many as the service keeps. */
export const MAX_REASON_CHARS = 500
export type FilingStep = 'review' | 'file' | 'refuse' | 'reopen'

/** From which states a step goes: the service's own table. */
const FROM: Readonly<Record<FilingStep, readonly Filing[]>> = {
  review: ['draft'], file: ['reviewed'], refuse: ['draft', 'reviewed'], reopen: ['reviewed', 'filed'],
}
const STEPS = Object.keys(FROM) as readonly FilingStep[]

/** One of these: cameras, an area with all below it, or what an import brought. */
export type Chosen =
  | { readonly channel_ids: readonly string[] }
  | { readonly area_id: string }
  | { readonly import_id: string }

export interface FilingSettings {
  readonly second_person: boolean
  readonly by_hand: 'draft' | 'filed'
}

export interface FilingOutcome {
  readonly changed: number
  readonly left_out: number
}

const SETTINGS = '/api/v1/filing-settings'

export class FilingApi {
  constructor(private readonly door: Api) {}

  take(step: FilingStep, chosen: Chosen, reason: string, withoutOwn: boolean): Promise<Result<FilingOutcome>> {
    const given = reason.trim()
    const body = { ...chosen, step, without_own: withoutOwn, ...(given !== '' && { reason: given }) }
    return this.door.request('/api/v1/channel-filing', jsonInit('POST', body))
  }

  settings(): Promise<Result<FilingSettings>> {
    return this.door.get(SETTINGS)
  }

  choose(change: Partial<FilingSettings>): Promise<Result<FilingSettings>> {
    return this.door.request(SETTINGS, jsonInit('PUT', change))
  }
}

/** What can be done from a state; where there are several cameras (null), anything. */
export function stepsFrom(state: Filing | null): readonly FilingStep[] {
  return state === null ? STEPS : STEPS.filter((step) => FROM[step].includes(state))
}

/** The states from which a step goes, where none of those chosen is in one; null where it can be taken, for all that is known. */
export function wants(step: FilingStep, among: readonly Filing[] | null): readonly Filing[] | null {
  return among === null || among.some((each) => FROM[step].includes(each)) ? null : FROM[step]
}

/** A refusal has to say why; whoever reopens may. */
export function asksReason(step: FilingStep): 'must' | 'may' | 'no' {
  if (step === 'refuse') return 'must'
  return step === 'reopen' ? 'may' : 'no'
}
