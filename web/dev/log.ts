/** The audit log in the mocked service: a few rows, by who asks and about which camera. */
import type { LogRow, Look } from '../src/log/api'
import { channels } from './data.ts'
import { ok, type Answer } from './manage.ts'

const START = Date.now() - 3_600_000
const PEOPLE = ['admin', 'yongshun', 'liyuan']

function at(minutes: number): string {
  return new Date(START + minutes * 60_000).toISOString()
}

const looks: readonly Look[] = channels.slice(0, 30).map((channel, n) => {
  const person = PEOPLE[n % PEOPLE.length] ?? ''
  return {
    seq: n === 0 ? null : 2 * n + 1, kind: n % 5 === 4 ? 'still' : 'view', view_id: `v${n}`, subject_id: `su_${person}`, subject_name: person,
    remote: '192.0.2.7', channel_id: channel.id, channel_name: channel.name, profiles: n % 3 === 1 ? ['sub', 'main'] : ['sub'], began_at: at(n),
    // The first goes on; of another one nobody saw the end.
    ended_at: n === 0 || n === 2 ? null : at(n + 1), written_at: n === 0 ? null : at(n + 1), sent_bytes: n * 400_000, outcome: 'ok', purpose: n % 7 === 3 ? 'duty' : null, purpose_note: n % 14 === 3 ? '案件 2026-17' : null,
  }
})

/** Null where it is about something else. */
export function logAnswer(url: URL, signedIn: string): Answer | null {
  if (!url.pathname.startsWith('/api/v1/audit')) return null
  if (url.pathname.endsWith('/exports')) return ok({ items: [], next_cursor: null, total: 0, second_person: true })
  const person = url.pathname.includes('/mine') ? signedIn : (url.searchParams.get('subject') ?? '').replace('su_', '')
  const channelId = url.searchParams.get('channel_id')
  const found = looks.filter((look) => (person === '' || look.subject_name === person) && (channelId === null || look.channel_id === channelId))
  const ended = found.filter((look) => look.seq !== null).reverse()
  if (url.pathname.endsWith('/views')) return ok({ open: found.filter((look) => look.seq === null), items: ended, next_cursor: null })
  const items = ended.map((look): LogRow => ({ ...look, seq: look.seq ?? 0, at: look.written_at ?? '', act: look.kind === 'still' ? 'snapshot' : 'view_end', outcome: 'ok', area_name: null, detail: { view_id: look.view_id, profile: look.profiles[0], cause: 'stopped', purpose: look.purpose, purpose_note: look.purpose_note } }))
  return ok({ items, next_cursor: null })
}
