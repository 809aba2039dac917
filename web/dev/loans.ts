/** Loans in the mocked service: `admin` answers, everybody asks. What is lent does not widen what is seen here. */
import type { Loan, LoanDraft } from '../src/loans/api'
import { areas, channels } from './data.ts'
import { ok, refuse, type Answer } from './manage.ts'

let loans: readonly Loan[] = []
let made = 0

export function loansAnswer(method: string, path: string, body: string, who: string): Answer {
  const [, , , , id, act] = path.split('/')
  const now = Date.now()
  const at = (minutes: number) => new Date(now + minutes * 60_000).toISOString()
  if (method === 'GET') {
    const items = id === 'mine' ? loans.filter((each) => each.username === who).reverse() : loans.filter((each) => each.state === 'open' || each.state === 'running')
    return ok({ items, next_cursor: null, total: items.length })
  }
  const sent = JSON.parse(body || '{}') as Partial<LoanDraft>
  if (id === undefined) {
    const channel = channels.find((each) => each.code === sent.channel)
    const area = areas.find((each) => each.id === channel?.area_id)
    const loan: Loan = {
      id: `lo_${(made += 1)}`, subject_id: `su_${who}`, username: who, display_name: who, asked: sent.channel ?? '', channel_id: channel?.id ?? null,
      channel_name: channel?.name ?? null, area_path: area === undefined ? null : [area.name], actions: [...(sent.actions ?? [])], reason: sent.reason ?? '',
      minutes: sent.minutes ?? 60, state: 'open', created_at: at(0), lapses_at: at(1440), answered_at: null, answered_by: null, refusal: null,
      grant_id: null, lent: [], until: null, ended_at: null,
    }
    loans = [...loans, loan]
    return ok(loan, 201)
  }
  const loan = loans.find((each) => each.id === id)
  if (loan === undefined) return refuse(404, 'not_found', 'There is no such thing, or it is not yours to see.')
  if (act !== 'end' && loan.username === who) return refuse(403, 'own_loan', 'Nobody answers their own question; another one has to.')
  const answered = { ...loan, answered_at: at(0), answered_by: who }
  const next: Loan =
    act === 'allow' ? { ...answered, state: 'running', lent: ['list', ...loan.actions], until: at(sent.minutes ?? loan.minutes) }
    : act === 'refuse' ? { ...answered, state: 'refused', refusal: sent.reason ?? '' }
    : { ...loan, state: loan.state === 'open' ? 'withdrawn' : 'ended', ended_at: at(0) }
  loans = loans.map((each) => (each.id === id ? next : each))
  return ok(next)
}
