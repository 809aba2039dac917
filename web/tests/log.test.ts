import { afterEach, describe, expect, it, vi } from 'vitest'
import { Api } from '../src/api'
import { lang, setLang } from '../src/i18n'
import { LogApi, type ExportRequest, type LogQuery } from '../src/log/api'
import { LogBook } from '../src/log/book'
import { ExportDesk, fateOf } from '../src/log/exports'
import { ANY, formOf, queryOf } from '../src/log/filter'
import { actChoices, filterText, lookText, outcomeText } from '../src/log/words'
import { purposes } from '../src/state/purpose'

const ALL: LogQuery = { mine: false, person: '', channelId: null, areaId: null, acts: [], outcome: null, purpose: '', since: '', until: '' }

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
    const own = { ...ALL, mine: true, person: 'wang', channelId: 'ch_1', areaId: 'ar_1', acts: ['sign_in'], outcome: 'ok', purpose: 'duty', since: '2026-11-24T08:00' } as const
    const { signal } = new AbortController()
    await new LogApi(api).rows(own, null, signal)
    await new LogApi(api).looks(own, 'next', signal)
    expect(asked).toEqual(['/api/v1/audit/mine?limit=50', '/api/v1/audit/mine/views?limit=50&cursor=next'])
  })

  it('of an auditor says who, which camera, and when with an offset', async () => {
    const { api, asked } = door({})
    await new LogApi(api).exportNow({ ...ALL, person: ' wang ', channelId: 'ch_1', since: '2026-11-24T08:00', until: '2026-11-25T08:00' }, 'jsonl')
    const { pathname, searchParams } = new URL(asked[0] ?? '', 'http://page')
    expect(pathname).toBe('/api/v1/audit/export')
    expect(Object.fromEntries(searchParams)).toEqual({
      subject: 'wang', channel_id: 'ch_1', format: 'jsonl',
      since: new Date('2026-11-24T08:00').toISOString(), until: new Date('2026-11-25T08:00').toISOString(),
    })
  })

  it('of an auditor says where, what, what came of it and what for, and nothing of what is left open', async () => {
    const { api, asked } = door({}, {})
    const { signal } = new AbortController()
    await new LogApi(api).rows({ ...ALL, areaId: 'ar_1', acts: ['sign_in', 'token'], outcome: 'refused', purpose: 'duty' }, null, signal)
    await new LogApi(api).rows(ALL, null, signal)
    expect(asked).toEqual([
      '/api/v1/audit?area_id=ar_1&act=sign_in&act=token&outcome=refused&purpose=duty&limit=50', '/api/v1/audit?limit=50',
    ])
  })
})

describe('the form', () => {
  const areaId = (code: string) => (code === '110112' ? 'ar_1' : null)

  it('is asked as it stands; acts where every act is shown', () => {
    const form = { ...ANY, area: ' 110112 ', camera: { typed: '路口1', id: 'ch_1' }, acts: ['sign_in'], outcome: 'ok' } as const
    expect(queryOf(ANY, false, true, areaId)).toEqual(ALL)
    expect(queryOf(form, false, true, areaId)).toEqual({ ...ALL, areaId: 'ar_1', channelId: 'ch_1', acts: ['sign_in'], outcome: 'ok' })
    expect(queryOf(form, false, false, areaId)?.acts).toEqual([])
  })

  it('is no question while its camera or its area is not known, but for one’s own rows', () => {
    for (const form of [{ ...ANY, area: '1101' }, { ...ANY, camera: { typed: '路', id: null } }]) {
      expect(queryOf(form, false, true, areaId)).toBeNull()
      expect(queryOf(form, true, true, areaId)).not.toBeNull()
    }
  })

  it('has every act, in the order of its words', () => {
    lang.value = 'en'
    const words = actChoices()
    expect(words.length).toBeGreaterThan(80)
    expect(words.find((each) => each.act === 'sign_in')?.text).toBe('Sign-in')
    expect(words.map((each) => each.text)).toEqual(words.map((each) => each.text).sort((a, b) => a.localeCompare(b, 'en')))
    lang.value = 'zh'
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
    const { api, asked } = door(waits, { items: [waits], next_cursor: null, second_person: true })
    const desk = new ExportDesk(new LogApi(api))
    desk.turnAsking()
    await desk.ask({ ...ALL, person: 'wang' }, 'csv')
    desk.view.stated = { purpose: 'inquiry', note: '' }
    await desk.ask({ ...ALL, person: 'wang' }, 'csv')
    expect(asked).toEqual(['/api/v1/audit/exports?subject=wang', '/api/v1/audit/exports?limit=50'])
    expect(desk.view).toMatchObject({ secondPerson: true, busy: false, error: null, asking: false })
    expect(desk.view.items).toHaveLength(1)
  })

  it('begin with empty forms: what was said for another one is not meant', () => {
    const desk = new ExportDesk(new LogApi(door().api))
    desk.turnAsking()
    desk.view.stated = { purpose: 'inquiry', note: '' }
    desk.turnAsking()
    desk.turnAsking()
    expect(desk.view).toMatchObject({ asking: true, stated: null })
    desk.turnRefusing('ex_1')
    desk.view.reason = 'too wide'
    desk.turnRefusing('ex_2')
    expect(desk.view).toMatchObject({ refusing: 'ex_2', reason: '' })
    desk.turnRefusing('ex_2')
    expect(desk.view.refusing).toBeNull()
  })

  it('are all reached, page by page, and stay listed when one is decided on', async () => {
    const page = (id: string, next: string | null) => ({ items: [{ ...waits, id }], next_cursor: next, second_person: true })
    const { api, asked } = door(page('ex_1', 'c1'), page('ex_1', 'c1'), page('ex_2', null), waits, page('ex_1', 'c1'), page('ex_2', null))
    const desk = new ExportDesk(new LogApi(api))
    await desk.load()
    expect(desk.view.cursor).toBe('c1')
    await desk.more()
    expect([desk.view.items.map((each) => each.id), desk.view.cursor]).toEqual([['ex_1', 'ex_2'], null])
    await desk.approve('ex_2')
    expect(desk.view.items.map((each) => each.id)).toEqual(['ex_1', 'ex_2'])
    expect(asked.at(-1)).toBe('/api/v1/audit/exports?limit=50&cursor=c1')
  })

  it('are listed once the service answers again', async () => {
    const answers = [new Response('', { status: 502 }), Response.json({ items: [], next_cursor: null, second_person: false })]
    const desk = new ExportDesk(new LogApi(new Api({ fetch: () => Promise.resolve(answers.shift() ?? new Response('{}')) })))
    await desk.load()
    expect([desk.view.secondPerson, desk.view.error?.code]).toEqual([null, 'http_502'])
    await desk.load()
    expect([desk.view.secondPerson, desk.view.error]).toEqual([false, null])
  })

  it('that somebody else has decided on say so, and stand as they are now', async () => {
    const answers = [new Response('{"code":"export_decided","detail":"b has decided."}', { status: 409 }), new Response(JSON.stringify({ items: [{ ...waits, state: 'refused' }], next_cursor: null, second_person: true }))]
    const desk = new ExportDesk(new LogApi(new Api({ fetch: () => Promise.resolve(answers.shift() ?? new Response('{}')) })))
    expect(await desk.approve('ex_1')).toBe(false)
    expect(desk.view.error?.code).toBe('export_decided')
    expect(desk.view.items[0]?.state).toBe('refused')
  })

  it('are fetched as a file, and a refusal is said in the page', async () => {
    const changed = new Response('{"code":"export_changed","detail":"Other cameras."}', { status: 409 })
    const list = () => Response.json({ items: [waits], next_cursor: null, second_person: true })
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

  it('are looked at as the log’s form has them; not where their area is gone', () => {
    const codeOf = (id: string) => (id === 'ar_1' ? '110112' : '')
    const since = new Date('2026-11-24T08:00').toISOString()
    expect(formOf(of({}), codeOf)).toEqual(ANY)
    expect(formOf({ ...of({ subject: 'wang', channel_id: 'ch_1', since }), channel_name: '路口1' }, codeOf)).toEqual(
      { ...ANY, person: 'wang', camera: { typed: '路口1', id: 'ch_1' }, since: '2026-11-24T08:00:00' },
    )
    expect(formOf(of({ channel_id: 'ch_gone' }), codeOf)?.camera).toEqual({ typed: 'ch_gone', id: 'ch_gone' })
    expect(formOf(of({ subject: 'wang', subject_id: 'su_1' }), codeOf)).toEqual({ ...ANY, person: 'su_1' })
    expect(formOf(of({ area_id: 'ar_1', acts: ['view_end', 'token'], outcome: 'refused', purpose: 'duty' }), codeOf)).toEqual(
      { ...ANY, area: '110112', acts: ['view_end', 'token'], outcome: 'refused', purpose: 'duty' },
    )
    expect([{ area_id: 'ar_gone' }, { what_is_new: 1 }].map((each) => formOf(of(each), codeOf))).toEqual([null, null])
  })
})

function of(asked: Record<string, unknown>): ExportRequest {
  return { asked, channel_name: null, area_name: null } as ExportRequest
}
