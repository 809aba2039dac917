/**
 * Loans: a camera asked for, for a while, and lent or not (docs/loans.md). Through `request` of the one door.
 */
import { jsonInit, type Api, type Channel, type Result } from '../api'
import type { components } from '../openapi'

export type Loan = components['schemas']['LoanOut']
export type LoanState = Loan['state']
export type Lendable = LoanDraft['actions'][number]
/** What there is a door for: playback has none yet. */
export const OFFERED: readonly Lendable[] = ['live', 'snapshot']

export type LoanPage = components['schemas']['LoanList']
export type LoanDraft = components['schemas']['LoanAsk']
/** As many as the service keeps, of a reason and of a refusal. */
export const MAX_REASON_CHARS = 500

const LOANS = '/api/v1/loans'
/** As many of oneself as the service keeps. */
const KEPT = 200
/** Of others the oldest first, as many as one question brings. */
const SHOWN = 500

export class LoanApi {
  constructor(private readonly door: Api) {}

  mine(): Promise<Result<LoanPage>> {
    return this.door.get(`${LOANS}/mine?limit=${KEPT}`)
  }

  /** Of the cameras that one manages: open and running. */
  ofOthers(): Promise<Result<LoanPage>> {
    return this.door.get(`${LOANS}?limit=${SHOWN}`)
  }

  /** How many wait for one's answer. */
  async waiting(): Promise<Result<number>> {
    const result = await this.door.get<LoanPage>(`${LOANS}?state=open&limit=1`)
    return result.kind === 'success' ? { kind: 'success', value: result.value.total } : result
  }

  ask(draft: LoanDraft): Promise<Result<Loan>> {
    return this.door.request(LOANS, jsonInit('POST', draft))
  }

  /** For as long as asked, where no `minutes` are given. */
  allow(id: string, minutes: number | null): Promise<Result<Loan>> {
    return this.door.request(this.path(id, 'allow'), jsonInit('POST', { minutes }))
  }

  refuse(id: string, reason: string): Promise<Result<Loan>> {
    return this.door.request(this.path(id, 'refuse'), jsonInit('POST', { reason }))
  }

  /** Takes a question back, or ends what is lent. */
  end(id: string): Promise<Result<Loan>> {
    return this.door.request(this.path(id, 'end'), jsonInit('POST', {}))
  }

  channel(id: string): Promise<Result<Channel>> {
    return this.door.get(`/api/v1/channels/${encodeURIComponent(id)}`)
  }

  private path(id: string, act: string): string {
    return `${LOANS}/${encodeURIComponent(id)}/${act}`
  }
}

/** What people ask for, in minutes. */
export const SPANS: readonly number[] = [15, 30, 60, 120, 240, 480, 1440]

/** For how long it can be lent, besides as long as asked. */
export function spansBelow(minutes: number): number[] {
  return SPANS.filter((each) => each < minutes)
}

/** The code within what was typed, blanks and hyphens left out; null when it is none. */
export function typedCode(text: string): string | null {
  const digits = text.replace(/[\s-]/g, '')
  return /^\d{20}$/.test(digits) ? digits : null
}
