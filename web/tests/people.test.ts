import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { acceptAnswer } from '../dev/accept'
import { areas } from '../dev/data'
import { Api } from '../src/api'
import { lang } from '../src/i18n'
import { FieldBook } from '../src/manage/fields'
import { actionsText, daysText, draftOf, grantText, lackOf, mayRevoke, numbered, originText, partOf, standing, targetText, validText, windowText, type Day, type GrantForm } from '../src/manage/grants'
import { AccountFinder, GrantBook, PeopleApi, type Grant } from '../src/manage/people'
import { retryKey } from '../src/manage/retry'
import { DEBOUNCE_MS } from '../src/state/channels'
import { fragmentOf, readRoute, RIGHTS, WHY, type Route } from '../src/state/route'

interface Request { readonly method: string; readonly path: string; readonly body: unknown; readonly key: string | null }

/** The mocked service behind the page's own door, and what was asked of it. */
function door(asked: Request[] = []): PeopleApi {
  return new PeopleApi(new Api({
    fetch: (path, init) => {
      const [method, body] = [init?.method ?? 'GET', typeof init?.body === 'string' ? init.body : '']
      asked.push({ method, path, body: body === '' ? null : (JSON.parse(body) as unknown), key: new Headers(init?.headers).get('Idempotency-Key') })
      const answer = acceptAnswer(method, new URL(path, 'http://mock.invalid'), body)
      if (answer === null) return Promise.resolve(new Response(null, { status: 404 }))
      return Promise.resolve(answer.status === 204 ? new Response(null, { status: 204 }) : Response.json(answer.body, { status: answer.status }))
    },
  }))
}

const FORM: GrantForm = {
  subjectId: 'su_1', username: '', effect: 'allow', actions: ['live', 'list'], target: 'area', areaId: 'ar_1', areaTyped: '110112001', channelId: null, deviceClass: 'alley',
  from: '', until: '', windows: [], purpose: false,
}

const GRANT: Grant = {
  id: 'gr_1', subject_id: 'su_1', subject_name: 'zhang', role_id: null, role_name: null, actions: ['live'], area_id: null, area_name: null, channel_id: null, channel_name: null,
  valid_from: '2026-11-01T00:00:00Z', valid_until: null, created_at: '2026-11-01T00:00:00Z', revoked_at: null, effect: 'allow', conditions: [], windows: [], purpose_required: false, lent_by: null,
}

const NOW = Date.parse('2026-11-27T00:00:00Z')

beforeEach(() => void (lang.value = 'en'))
afterEach(() => {
  vi.useRealTimers()
  lang.value = 'zh'
})

describe('the form of a grant', () => {
  it.each<[Partial<GrantForm>, ReturnType<typeof lackOf>]>([
    [{}, null],
    [{ subjectId: null }, 'holder'],
    [{ subjectId: null, username: 'zhang' }, null],
    [{ actions: [] }, 'actions'],
    [{ areaId: null }, 'area'],
    [{ target: 'camera' }, 'camera'],
    [{ target: 'camera', areaId: null, channelId: 'ch_1' }, null],
    [{ target: 'class', areaId: null, areaTyped: ' ' }, null],
    // What was typed is no area: it must not become a grant on the whole district.
    [{ target: 'class', areaId: null, areaTyped: '1101' }, 'area'],
    [{ windows: [{ days: ['mon'], start: '22:00', end: '' }] }, 'windows'],
    [{ windows: [{ days: [], start: '22:00', end: '06:00' }] }, 'windows'],
    [{ windows: [{ days: ['mon'], start: '08:00', end: '08:00' }] }, 'windows'],
    [{ windows: [{ days: ['mon'], start: '00:00', end: '00:00' }] }, null],
    [{ from: '2026-11-28T10:00', until: '2026-11-28T09:00' }, 'times'],
    [{ until: '2026-11-28T09:00' }, null],
    // A field for times takes a year of six digits, which is none elsewhere.
    [{ from: '202611-11-28T10:00' }, 'times'],
    [{ until: '202611-11-28T10:00' }, 'times'],
  ])('lacks: %o', (change, lack) => {
    expect(lackOf({ ...FORM, ...change })).toBe(lack)
  })

  it('becomes what the service takes, and says nothing that was not said', () => {
    expect(draftOf(FORM)).toEqual({ subject_id: 'su_1', effect: 'allow', actions: ['list', 'live'], area_id: 'ar_1' })
  })

  it('names the account where its id is not known', () => {
    expect(draftOf({ ...FORM, subjectId: null, username: ' zhang ' })).toEqual({ username: 'zhang', effect: 'allow', actions: ['list', 'live'], area_id: 'ar_1' })
    expect(draftOf({ ...FORM, username: 'zhang' })).not.toHaveProperty('username')
  })

  it('has one target: a camera alone, or a class within an area', () => {
    expect(draftOf({ ...FORM, target: 'camera', channelId: 'ch_1' })).toEqual({ subject_id: 'su_1', effect: 'allow', actions: ['list', 'live'], channel_id: 'ch_1' })
    expect(draftOf({ ...FORM, target: 'class' })).toMatchObject({ area_id: 'ar_1', conditions: [{ field: 'device_class', op: 'eq', values: ['alley'] }] })
    expect(draftOf({ ...FORM, target: 'class', areaId: null })).toMatchObject({ area_id: null })
  })

  it('says times by the clock of Beijing, days in order, and midnight as an end as 24:00', () => {
    const made = draftOf({ ...FORM, from: '2026-11-28T08:00', windows: [{ days: ['sun', 'mon'], start: '08:00', end: '00:00' }] })
    expect(made.valid_from).toBe('2026-11-28T00:00:00.000Z')
    expect(made).not.toHaveProperty('valid_until')
    expect(made.windows).toEqual([{ days: ['mon', 'sun'], start: '08:00', end: '24:00' }])
  })

  it('has refusals beside the part that they are about, where it has that part', () => {
    expect(partOf({ code: 'unknown_subject', field: 'subject_id' }, false)).toBe('holder')
    expect(partOf({ code: 'unknown_subject', field: 'subject_id' }, true)).toBeNull()
    expect(partOf({ code: 'pass_on_purpose' }, true)).toBe('purpose')
    expect(partOf({ code: 'unknown_field', field: 'conditions' }, false)).toBe('target')
    expect(partOf({ code: 'pass_on_denied' }, false)).toBeNull()
  })

  it('asks nobody why of what is denied', () => {
    expect(draftOf({ ...FORM, purpose: true }).purpose_required).toBe(true)
    expect(draftOf({ ...FORM, purpose: true, effect: 'deny' })).not.toHaveProperty('purpose_required')
  })
})

describe('a grant in words', () => {
  it.each<[readonly Day[], string, string]>([
    [['mon', 'tue', 'wed', 'thu', 'fri'], 'Mon to Fri', '周一至周五'],
    [['sat', 'sun'], 'Sat, Sun', '周六、周日'],
    [['mon', 'wed', 'thu', 'fri', 'sun'], 'Mon, Wed to Fri, Sun', '周一、周三至周五、周日'],
    [['sun', 'sat', 'fri', 'thu', 'wed', 'tue', 'mon'], 'Every day', '每天'],
  ])('names days: %o', (days, english, chinese) => {
    expect(daysText(days)).toBe(english)
    lang.value = 'zh'
    expect(daysText(days)).toBe(chinese)
  })

  it('says when hours end on the next day', () => {
    expect(windowText({ days: ['fri'], start: '22:00', end: '06:00' })).toBe('Fri 22:00 to 06:00 the next day')
    expect(windowText({ days: ['fri'], start: '08:00', end: '24:00' })).toBe('Fri 08:00 to 24:00')
  })

  it('lists actions from the least on, and keeps one that it has no words for', () => {
    expect(actionsText(['manage', 'fly', 'list'])).toBe('list cameras, manage, fly')
  })

  it('tells where it stands', () => {
    const of = (change: Partial<Grant>) => standing({ ...GRANT, ...change }, NOW)
    expect(of({})).toBe('holds')
    expect(of({ valid_from: '2026-11-28T00:00:00Z' })).toBe('coming')
    expect(of({ valid_until: '2026-11-27T00:00:00Z' })).toBe('ended')
    expect(of({ revoked_at: '2026-11-02T00:00:00Z', valid_until: '2026-11-03T00:00:00Z' })).toBe('revoked')
    expect(validText(GRANT, NOW)).toContain('until revoked')
    expect(validText({ ...GRANT, valid_until: '2027-01-01T12:00:00Z' }, NOW)).toContain('2027')
  })

  it('is timed by the clock of Beijing, as its hours are', () => {
    const day = { valid_from: '2026-11-26T15:30:00Z', valid_until: '2026-11-26T16:30:00Z' }
    expect(validText(day, NOW)).toBe('26 Nov, 23:30:00 to 00:30:00')
    expect(validText({ valid_from: '2025-12-31T16:00:00Z', valid_until: null }, NOW)).toBe('From 1 Jan, 00:00:00, until revoked')
  })

  it('is revoked by whoever manages what it is on, a denial by whoever manages the district', () => {
    expect([mayRevoke({ effect: 'allow' }, false), mayRevoke({ effect: 'deny' }, false), mayRevoke({ effect: 'deny' }, true)]).toEqual([true, false, true])
  })

  it('names what it is on', () => {
    const choice = { code: 'alley', zh: '小巷', en: 'Alley' }
    const field = { key: 'device_class', zh: '设备类别', en: 'Device class', kind: 'choice', of: 'channel', section: '', max_chars: 20, choices: [choice] } as const
    const book = new FieldBook({ sections: [], items: [field] }, areas)
    const lines = (change: Partial<Grant>) => targetText({ ...GRANT, ...change }, book, (id) => (id === 'ar_1' ? '永顺镇' : null))
    expect(lines({ channel_id: 'ch_1', channel_name: '东口' })).toEqual(['东口'])
    expect(lines({ channel_id: 'ch_1' })).toEqual(['A camera that you may not see'])
    expect(lines({ area_id: 'ar_1' })).toEqual(['永顺镇 and all below'])
    const conditions = [{ field: 'device_class', op: 'eq', values: ['alley', 'x'] }] as const
    expect(lines({ conditions })).toEqual(['The whole district', 'Device class is Alley or x'])
  })

  it('is told whole in one line, and by way of what it is', () => {
    const told = (change: Partial<Grant>) => grantText({ ...GRANT, ...change }, new FieldBook({ sections: [], items: [] }, areas), () => '永顺镇', NOW)
    const windows = [{ days: ['fri'], start: '22:00', end: '06:00' }] as const
    expect(told({ area_id: 'ar_1', actions: ['live', 'list'], windows, purpose_required: true })).toBe(
      `list cameras, watch live · 永顺镇 and all below · ${validText(GRANT, NOW)} · Fri 22:00 to 06:00 the next day · Pictures ask for a purpose`,
    )
    expect([GRANT, { ...GRANT, role_id: 'ro_1', role_name: 'night' }, { ...GRANT, lent_by: 'wang' }].map(originText)).toEqual([null, 'Role night', 'Lent by wang'])
  })

  it('has numbers in place of ids', () => {
    expect(numbered('gr_b allows, gr_a does not', ['gr_a', 'gr_b'])).toBe('[2] allows, [1] does not')
  })
})

describe('accounts', () => {
  it('come page by page, and by a part of a name once typing has paused', async () => {
    vi.useFakeTimers()
    const asked: Request[] = []
    const finder = new AccountFinder(door(asked))
    await finder.ask('')
    expect([finder.list.items.length, finder.list.total]).toEqual([50, 63])
    await finder.more()
    expect([finder.list.items.length, finder.list.cursor]).toEqual([63, null])
    expect(new Set(finder.list.items.map((each) => each.id)).size).toBe(63)
    finder.search('yong')
    finder.search('yongs')
    await vi.advanceTimersByTimeAsync(DEBOUNCE_MS)
    expect(finder.list.items.map((each) => each.username)).toEqual(['yongshun'])
    expect(asked.filter((each) => each.path.includes('q=')).length).toBe(1)
  })

  it('show a change in their place', async () => {
    const finder = new AccountFinder(door())
    await finder.ask('yongshun')
    const [account] = finder.list.items
    if (account === undefined) throw new Error('nobody')
    finder.changed({ ...account, enabled: false })
    expect(finder.list.items.map((each) => each.enabled)).toEqual([false])
  })

  it('say what was refused, and forget whom they showed', async () => {
    const finder = new AccountFinder({ accounts: () => Promise.resolve({ kind: 'error', error: { status: 403, code: 'forbidden', detail: null, retryAfterMs: null } }) })
    await finder.ask('')
    expect([finder.list.error?.code, finder.list.items.length, finder.list.loading]).toEqual(['forbidden', 0, false])
  })

  it('join a role and have its grants, until they leave', async () => {
    const api = door()
    const book = new GrantBook(api)
    const mine = { subjectId: 'su_zone00' }
    await api.join('ro_1', 'su_zone00')
    await book.open(mine)
    expect(book.view.grants?.map((each) => each.role_name)).toEqual(['night'])
    await api.leave('ro_1', 'su_zone00')
    await book.again()
    expect(book.view.grants).toEqual([])
  })
})

describe('grants', () => {
  it('are there newest first, and gone when they are revoked', async () => {
    const api = door()
    const book = new GrantBook(api)
    const made: string[] = []
    for (const action of ['list', 'live'] as const) {
      const result = await api.grant(draftOf({ ...FORM, subjectId: 'su_zone01', actions: [action] }), retryKey())
      if (result.kind === 'success') made.push(result.value.id)
    }
    await book.open({ subjectId: 'su_zone01' })
    expect(book.view.grants?.map((each) => each.id)).toEqual([...made].reverse())
    await api.revoke(made[1] ?? '')
    await book.again()
    expect(book.view.grants?.map((each) => each.id)).toEqual(made.slice(0, 1))
  })

  it('are sent with a key, of which there are enough, also by plain HTTP', async () => {
    vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) })
    const asked: Request[] = []
    const keys = Array.from({ length: 100 }, retryKey)
    await door(asked).grant(draftOf(FORM), keys[0] ?? '')
    expect(asked.at(-1)?.key).toBe(keys[0])
    expect(new Set(keys).size).toBe(100)
    expect(keys.every((key) => /^[0-9a-f]{32}$/.test(key))).toBe(true)
    vi.unstubAllGlobals()
  })

  it('are read to the last page', async () => {
    const pages = [['gr_1', 'gr_2'], ['gr_3']]
    const cursors: (string | null)[] = []
    const book = new GrantBook({
      grants: (_, cursor) => {
        cursors.push(cursor)
        const number = cursor === null ? 0 : Number(cursor)
        const items = (pages[number] ?? []).map((id) => ({ ...GRANT, id }))
        return Promise.resolve({ kind: 'success', value: { items, total: 3, next_cursor: number + 1 < pages.length ? String(number + 1) : null } })
      },
    })
    await book.open({ areaId: 'ar_1' })
    expect([book.view.grants?.map((each) => each.id), book.view.more]).toEqual([['gr_3', 'gr_2', 'gr_1'], false])
    expect(cursors).toEqual([null, '1'])
  })

  it('of whom was asked for last are shown, though the answer before comes later', async () => {
    const answers = new Map<string, () => void>()
    const book = new GrantBook({
      grants: (of) => new Promise((resolve) => {
        const id = 'subjectId' in of ? of.subjectId : ''
        answers.set(id, () => resolve({ kind: 'success', value: { items: [{ ...GRANT, id }], total: 1, next_cursor: null } }))
      }),
    })
    const [first, second] = [book.open({ subjectId: 'su_1' }), book.open({ subjectId: 'su_2' })]
    answers.get('su_2')?.()
    answers.get('su_1')?.()
    await Promise.all([first, second])
    expect(book.view.grants?.map((each) => each.id)).toEqual(['su_2'])
  })
})

describe('the address', () => {
  it.each<[string, Route]>([
    ['#people', { view: 'people', id: null }],
    ['#people/su_1', { view: 'people', id: 'su_1' }],
    ['#rights', RIGHTS],
    ['#rights?area=110112001', { ...RIGHTS, area: '110112001' }],
    ['#rights?camera=ch_1', { ...RIGHTS, camera: 'ch_1' }],
    ['#why', WHY],
    ['#why?subject=zhang&camera=ch_1&action=ptz', { view: 'why', subject: 'zhang', camera: 'ch_1', action: 'ptz' }],
  ])('%s leads there and back', (fragment, route) => {
    expect(readRoute(fragment)).toEqual(route)
    expect(fragmentOf(route)).toBe(fragment)
  })

  it('knows no action but those that there are', () => {
    expect(readRoute('#why?action=fly')).toEqual(WHY)
  })
})
