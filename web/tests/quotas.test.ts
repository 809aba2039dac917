import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { acceptAnswer } from '../dev/accept'
import { Api, errorFrom, type QuotaFull } from '../src/api'
import { setLang } from '../src/i18n'
import { mbpsText, QuotaApi, quotaDraft, share } from '../src/manage/quotas'
import { isMeantEnd } from '../src/player/reconnect'
import { quotaText } from '../src/state/words'
import { Bench, created } from './fakes'

const FULL: QuotaFull = {
  of: 'area', name: '永顺镇', what: 'views', limit: 4, used: 4, asked: 1,
  held_by: [{ of: 'subject', name: 'zhang', used: 3 }, { of: 'others', name: null, used: 1 }],
}

function full(headers: Record<string, string> = {}): Response {
  return Response.json({ code: 'quota_exceeded', detail: 'why', quota: FULL }, { status: 429, headers })
}

function door(): Api {
  return new Api({
    fetch: (path, init) => {
      const answer = acceptAnswer(init?.method ?? 'GET', new URL(path, 'http://mock.invalid'), typeof init?.body === 'string' ? init.body : '')
      if (answer === null) return Promise.resolve(new Response(null, { status: 404 }))
      return Promise.resolve(answer.status === 204 ? new Response(null, { status: 204 }) : Response.json(answer.body, { status: answer.status }))
    },
  })
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a quota that is full', () => {
  it('is said with who holds it, in both languages', async () => {
    expect((await errorFrom(full())).quota).toEqual(FULL)
    vi.stubGlobal('localStorage', { setItem: () => undefined })
    vi.stubGlobal('document', { documentElement: {} })
    setLang('zh')
    expect(quotaText(FULL)).toBe('永顺镇最多同时查看 4 路，已用 4 路：zhang 3、其他 1。')
    setLang('en')
    const rate: QuotaFull = { ...FULL, what: 'bit_rate', limit: 60_000_000, used: 4_600_000, held_by: [{ of: 'area', name: '新建村', used: 600_000 }] }
    expect(quotaText(rate)).toBe('永顺镇 may have 60 Mbit/s at once and has 4.6: 新建村 0.6.')
    const closed: QuotaFull = { ...FULL, limit: 0, used: 0, held_by: [] }
    expect(quotaText(closed)).toBe('永顺镇 may have 0 views at once and has 0: nobody has any.')
    vi.unstubAllGlobals()
  })

  it('is asked again after its Retry-After, and the view opens when there is room', async () => {
    const bench = new Bench()
    bench.respond = (_, posts) => (posts === 1 ? full({ 'Retry-After': '15' }) : created())
    bench.player.open()
    await vi.advanceTimersByTimeAsync(1)
    expect(bench.player.state).toMatchObject({ kind: 'lost', retriedBy: 'view', reason: 'quota_exceeded', quota: FULL })
    await vi.advanceTimersByTimeAsync(14_900)
    expect(bench.posts).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(200)
    expect(bench.kind).toBe('opening')
  })

  it('and one that was lowered is a meant end', () => {
    expect(isMeantEnd('quota_lowered')).toBe(true)
  })
})

describe('the form of a quota', () => {
  const empty = { views: '', mbps: '', keptViews: '', keptMbps: '' }

  it('is sent in bits per second, and what is kept only by who may say it', () => {
    const form = { views: '40', mbps: 60.5, keptViews: '', keptMbps: 2 }
    expect(quotaDraft(form, true)).toEqual({ max_views: 40, max_bps: 60_500_000, kept_views: 0, kept_bps: 2_000_000 })
    expect(quotaDraft(form, false)).toEqual({ max_views: 40, max_bps: 60_500_000 })
    expect(quotaDraft({ ...empty, views: 0 }, true)).toMatchObject({ max_views: 0, max_bps: null })
  })

  it('is not sent before it says something', () => {
    expect(quotaDraft(empty, true)).toBeNull()
    expect(quotaDraft({ ...empty, keptViews: 3 }, false)).toBeNull()
    const odd = ['-1', '1.5', 'x', '100001'].map((views) => quotaDraft({ ...empty, views }, true))
    expect(odd.every((each) => each === null)).toBe(true)
  })

  it('tells how much is in use', () => {
    expect([0, 600_000, 4_600_000, 60_000_000].map(mbpsText)).toEqual(['0', '0.6', '4.6', '60'])
    expect([share(3, null), share(3, 4), share(0, 0)]).toEqual([null, 0.75, 1])
  })
})

it('quotas are listed, set and removed', async () => {
  const api = new QuotaApi(door())
  const draft = quotaDraft({ views: 4, mbps: '', keptViews: 2, keptMbps: '' }, true)
  if (draft === null) throw new Error('no draft')
  const made = await api.set({ area_id: 'ar_0ss', subject_id: null }, draft)
  if (made.kind !== 'success') throw new Error('not set')
  expect(await api.quotas()).toMatchObject({ value: { items: [{ area_id: 'ar_0ss', max_views: 4 }], capacity: { kept_views: 2 } } })
  expect(await api.remove(made.value)).toMatchObject({ kind: 'success' })
  expect(await api.remove(made.value)).toMatchObject({ error: { code: 'not_found' } })
})

it('an account is found by a part of its name, and has a quota of its own', async () => {
  const api = new QuotaApi(door())
  const found = await api.accounts('grid', new AbortController().signal)
  expect(found).toMatchObject({ value: { items: [{ username: 'grid-service' }] } })
  const made = await api.set({ area_id: null, subject_id: 'su_grid-service' }, { max_views: 9, max_bps: null })
  if (made.kind !== 'success') throw new Error('not set')
  expect(made.value).toMatchObject({ area_id: null, subject_name: 'grid-service', max_views: 9 })
  expect(await api.remove(made.value)).toMatchObject({ kind: 'success' })
})
