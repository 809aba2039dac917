import { afterEach, describe, expect, it, vi } from 'vitest'
import { Api } from '../src/api'
import { lang, setLang } from '../src/i18n'
import { LogApi, type ExportRequest, type LogQuery } from '../src/log/api'
import { LogBook } from '../src/log/book'
import { ExportDesk, fateOf, queryOf } from '../src/log/exports'
import { filterText, lookText, outcomeText } from '../src/log/words'
import { purposes } from '../src/state/purpose'

const ALL: LogQuery = { mine: false, person: '', channelId: null, since: '', until: '' }

/** A door that answers what it is given in turn, and keeps what was asked. */
function door(...answers: object[]): { api: Api; asked: string[] } {
  const asked: string[] = []
  const api = new Api({
    fetch: (path) => {
      asked.push(path)
      const body = answers.shift()
      return Promise.resolve(body === undefined ? new Response('{"code":"forbidden","detail":"No."}', { status: 403 }) : new Response(JSON.stringify(body)))
    },
  })
  return { api, asked }
}

describe('the question', () => {
  it('of one’s own rows is narrowed by nothing', async () => {
    const { api, asked } = door({}, {})
    const own = { ...ALL, mine: true, person: 'wang', channelId: 'ch_1', since: '2026-11-24T08:00' }
    const { signal } = new AbortController()
    await new LogApi(api).rows(own, null, signal)
    await new LogApi(api).looks(own, 'next', signal)
    expect(asked).toEqual(['/api/v1/audit/mine?limit=50', '/api/v1/audit/mine/views?limit=50&cursor=next'])
  })

  it('of an auditor says who, which camera, and when with an offset', async () => {
    const { api, asked } = door({})
    await new LogApi(api).exportNow({ ...ALL, person: ' wang ', channelId: 'ch_1', since: '2026-11-24T08:00', until: '2026-11-25T08:00' })
    const { pathname, searchParams } = new URL(asked[0] ?? '', 'http://page')
    expect(pathname).toBe('/api/v1/audit/export')
    expect(Object.fromEntries(searchParams)).toEqual({
      subject: 'wang', channel_id: 'ch_1', format: 'csv',
      since: new Date('2026-11-24T08:00').toISOString(), until: new Date('2026-11-25T08:00').toISOString(),
    })
  })
})

describe('the book', () => {
  it('adds page to page, with the views that go on before them', async () => {
    const { api, asked } = door(
      { open: [{ view_id: 'v1' }], items: [{ seq: 9 }], next_cursor: 'c1' },
      { open: [], items: [{ seq: 8 }], next_cursor: null },
    )
    const book = new LogBook(new LogApi(api))
    await book.ask(ALL, false)
    await book.more()
    await book.more()
    expect(asked).toHaveLength(2)
    expect(book.view.open.map((look) => look.view_id)).toEqual(['v1'])
    expect(book.view.looks?.map((look) => look.seq)).toEqual([9, 8])
  })

  it('reads its first page once more in place of what it had, unless another was added to it', async () => {
    const { api, asked } = door(
      { open: [{ view_id: 'v1' }], items: [{ seq: 7 }], next_cursor: 'c1' },
      { open: [], items: [{ seq: 9 }, { seq: 7 }], next_cursor: 'c2' },
      { open: [], items: [{ seq: 5 }], next_cursor: null },
    )
    const book = new LogBook(new LogApi(api))
    await book.ask(ALL, false)
    await book.again()
    expect(book.view.open).toEqual([])
    expect(book.view.looks?.map((look) => look.seq)).toEqual([9, 7])
    await book.more()
    await book.again()
    expect(book.view.looks?.map((look) => look.seq)).toEqual([9, 7, 5])
    expect(asked).toHaveLength(3)
  })

  it('begins anew with another question, and says why there is no answer', async () => {
    const { api } = door({ items: [{ seq: 9 }], next_cursor: null })
    const book = new LogBook(new LogApi(api))
    await book.ask(ALL, true)
    expect(book.view.rows).toHaveLength(1)
    await book.ask(ALL, false)
    expect(book.view.rows).toBeNull()
    expect(book.view.error?.code).toBe('forbidden')
    expect(book.view.loading).toBe(false)
  })
})

describe('a row', () => {
  afterEach(() => void (lang.value = 'zh'))

  it.each([
    ['refused', 'quota_exceeded', '被拒绝：配额已满', 'Refused: quota full'],
    ['refused', 'purpose_required', '被拒绝：需说明事由', 'Refused: purpose needed'],
    ['refused', 'forbidden', '被拒绝：越权', 'Refused: not allowed'],
    ['refused', 'not_found', '被拒绝：越权', 'Refused: not allowed'],
    ['refused', 'wrong_password', '被拒绝', 'Refused'],
    ['refused', undefined, '被拒绝', 'Refused'],
    // The camera has no such stream: nobody was refused.
    ['failed', 'not_found', '失败', 'Failed'],
  ] as const)('that %s for %s says why, where that has words', (outcome, code, zh, en) => {
    expect(outcomeText({ outcome, detail: { code } })).toBe(zh)
    lang.value = 'en'
    expect(outcomeText({ outcome, detail: { code } })).toBe(en)
  })

  it('of a view says every stream that it showed', () => {
    expect(lookText({ kind: 'view', profiles: ['sub', 'main'] })).toBe('实时观看（子码流、主码流）')
    expect(lookText({ kind: 'view', profiles: ['sub'] })).toBe('实时观看（子码流）')
    expect(lookText({ kind: 'still', profiles: ['main'] })).toBe('抓拍')
    lang.value = 'en'
    expect(lookText({ kind: 'view', profiles: ['sub', 'main'] })).toBe('Live view (Sub, Main)')
  })
})

describe('exports by two people', () => {
  const waits = { id: 'ex_1', state: 'pending', is_open: true }

  it('are asked for with the log’s own narrowing and what for, and then listed', async () => {
    const { api, asked } = door(waits, { items: [waits], second_person: true })
    const desk = new ExportDesk(new LogApi(api))
    expect(await desk.ask({ ...ALL, person: 'wang' }, { purpose: 'inquiry', note: '' })).toBe(true)
    expect(asked).toEqual(['/api/v1/audit/exports?subject=wang', '/api/v1/audit/exports?limit=50'])
    expect(desk.view).toMatchObject({ secondPerson: true, busy: false, error: null })
    expect(desk.view.items).toHaveLength(1)
  })

  it('that somebody else has decided on say so, and stand as they are now', async () => {
    const answers = [new Response('{"code":"export_decided","detail":"b has decided."}', { status: 409 }), new Response(JSON.stringify({ items: [{ ...waits, state: 'refused' }], second_person: true }))]
    const desk = new ExportDesk(new LogApi(new Api({ fetch: () => Promise.resolve(answers.shift() ?? new Response('{}')) })))
    expect(await desk.approve('ex_1')).toBe(false)
    expect(desk.view.error?.code).toBe('export_decided')
    expect(desk.view.items[0]?.state).toBe('refused')
  })

  it('are fetched as a file, and a refusal is said in the page', async () => {
    const changed = new Response('{"code":"export_changed","detail":"Other cameras."}', { status: 409 })
    const list = () => Response.json({ items: [waits], second_person: true })
    const answers = [new Response('zip'), list(), changed, list()]
    const asked: string[] = []
    const fetch = (path: string) => (asked.push(path), Promise.resolve(answers.shift() ?? list()))
    const desk = new ExportDesk(new LogApi(new Api({ fetch })))
    expect(await (await desk.fetch('ex/1'))?.text()).toBe('zip')
    expect(asked[0]).toBe('/api/v1/audit/exports/ex%2F1/file')
    expect(await desk.fetch('ex/1')).toBeNull()
    expect(desk.view.error?.code).toBe('export_changed')
  })

  it('run out', () => {
    const of = (state: 'pending' | 'approved' | 'refused', isOpen: boolean) => fateOf({ state, is_open: isOpen } as Parameters<typeof fateOf>[0])
    expect([of('pending', true), of('pending', false), of('approved', false), of('refused', false)]).toEqual(['pending', 'lapsed', 'lapsed', 'refused'])
  })
  it('say all that is asked for, to whoever decides on it', () => {
    vi.stubGlobal('localStorage', { setItem: () => undefined })
    vi.stubGlobal('document', { documentElement: {} })
    setLang('en')
    const now = Date.parse('2026-11-24T12:00:00')
    const since = new Date('2026-11-24T08:00').toISOString()
    expect(filterText(of({}), now)).toBe('all')
    purposes.value = [{ code: 'duty', zh: '值班', en: 'On duty', needs_note: false }]
    const narrow = { subject: 'wang', area_id: 'ar_1', acts: ['sign_in', 'odd'], outcome: 'refused', purpose: 'duty', since }
    expect(filterText({ ...of(narrow), area_name: '永顺镇' }, now)).toBe(
      'wang · area 永顺镇, with all below it · Sign-in / odd · Refused · for the purpose On duty · from 08:00:00',
    )
    vi.unstubAllGlobals()
  })

  it('are looked at only where the log can be asked for the same rows', () => {
    const since = new Date('2026-11-24T08:00').toISOString()
    expect(queryOf(of({}))).toEqual(ALL)
    expect(queryOf(of({ subject: 'wang', channel_id: 'ch_1', since }))).toEqual(
      { ...ALL, person: 'wang', channelId: 'ch_1', since: '2026-11-24T08:00:00' },
    )
    expect(queryOf(of({ subject: 'wang', subject_id: 'su_1' }))).toEqual({ ...ALL, person: 'su_1' })
    const more = [{ acts: ['view_end'] }, { area_id: 'ar_1' }, { outcome: 'refused' }, { purpose: 'duty' }]
    expect(more.map((each) => queryOf(of({ subject: 'wang', ...each })))).toEqual([null, null, null, null])
  })
})

function of(asked: Record<string, unknown>): ExportRequest {
  return { asked, channel_name: null, area_name: null } as ExportRequest
}
