/** What for: asked once for all that wait, kept for the channel, sent with all that shows it. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Api, purposeHeaders, type Stated } from '../src/api'
import { acceptAnswer } from '../dev/accept'
import { PurposeApi, purposeDraft } from '../src/manage/purposes'
import { answer, askingTile, asksWhatFor, forget, forgetAll, statedFor } from '../src/state/purpose'
import { PtzApi } from '../src/state/steer'
import { Bench, problem } from './fakes'

const DUTY: Stated = { purpose: 'duty', note: '' }
const CASE: Stated = { purpose: 'other', note: '案件 2026-17, 走失' }

beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  forgetAll()
  vi.useRealTimers()
})

describe('the question', () => {
  it('stands once, in the first tile that waits', () => {
    expect(askingTile([], 4, 0)).toBeNull()
    expect(askingTile([3, 1, 2], 4, 3)).toBe(1)
  })

  it('stands in the tile that fills the wall, where that waits', () => {
    expect(askingTile([0, 2], 1, 2)).toBe(2)
    expect(askingTile([0, 2], 1, 3)).toBeNull()
  })

  it('is answered for each channel, and forgotten with the sign-in', () => {
    answer(['ch_1', 'ch_2'], CASE)
    expect(statedFor('ch_1')).toEqual(CASE)
    forget('ch_1')
    expect(statedFor('ch_1')).toBeNull()
    expect(statedFor('ch_2')).toEqual(CASE)
    expect(statedFor('ch_3')).toBeNull()
    forgetAll()
    expect(statedFor('ch_2')).toBeNull()
  })

  it('comes of the two refusals that an answer mends', () => {
    expect(['purpose_required', 'purpose_note_required', 'forbidden'].map(asksWhatFor)).toEqual([true, true, false])
  })
})

describe('the answer', () => {
  it('goes as headers that take any words', () => {
    expect(purposeHeaders(null)).toEqual({})
    expect(purposeHeaders(DUTY)).toEqual({ 'Streamhub-Purpose': 'duty' })
    const { 'Streamhub-Purpose-Note': note = '' } = purposeHeaders(CASE)
    expect(note).toMatch(/^[\x21-\x7e]+$/)
    expect(decodeURIComponent(note)).toBe(CASE.note)
  })

  it('is asked for at each new view, and a refusal for want of it is not repeated', async () => {
    let stated: Stated | null = null
    const bench = new Bench({ stated: () => stated })
    bench.respond = () => problem(403, 'purpose_required')
    bench.player.open()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(bench.posts).toHaveLength(1)
    expect(bench.player.state).toMatchObject({ kind: 'refused', reason: 'purpose_required' })
    stated = CASE
    bench.player.open()
    await vi.advanceTimersByTimeAsync(1)
    expect(bench.posts.map((post) => new Headers(post.init.headers).get('Streamhub-Purpose'))).toEqual([null, 'other'])
  })

  it('goes with steering', async () => {
    const asked: (string | null)[] = []
    const api = new Api({
      fetch: (_, init) => {
        asked.push(new Headers(init?.headers).get('Streamhub-Purpose'))
        return Promise.resolve(new Response('{"items": []}'))
      },
    })
    let stated: Stated | null = null
    const ptz = new PtzApi(api, 'ch_1', () => stated)
    await ptz.act({ act: 'stop' })
    stated = DUTY
    await ptz.act({ act: 'stop' })
    await ptz.presets()
    expect(asked).toEqual([null, 'duty', 'duty'])
  })

  it('is forgotten where steering takes it no longer, so that it is asked for anew', async () => {
    const answers = [problem(403, 'purpose_required'), problem(409, 'ptz_held'), problem(403, 'purpose_note_required')]
    const api = new Api({ fetch: () => Promise.resolve(answers.shift() ?? new Response('{"items": []}')) })
    const untaken = vi.fn(() => forget('ch_1'))
    const ptz = new PtzApi(api, 'ch_1', () => statedFor('ch_1'), untaken)
    answer(['ch_1'], DUTY)
    await ptz.act({ act: 'move', pan: 1, tilt: 0 })
    expect(statedFor('ch_1')).toBeNull()
    answer(['ch_1'], DUTY)
    await ptz.act({ act: 'stop' })
    expect(statedFor('ch_1')).toEqual(DUTY)
    await ptz.presets()
    expect(statedFor('ch_1')).toBeNull()
    expect(untaken).toHaveBeenCalledTimes(2)
  })
})

describe('the district’s list', () => {
  const typed = { code: ' Campaign ', zh: ' 专项行动 ', en: '', needs_note: true }

  it('takes a code and words, in English as in Chinese where there are none', () => {
    expect(purposeDraft(typed)).toEqual({ code: 'campaign', zh: '专项行动', en: '专项行动', needs_note: true })
    expect([{ ...typed, code: 'a' }, { ...typed, code: '-x' }, { ...typed, code: '专项' }, { ...typed, zh: ' ' }].map(purposeDraft)).toEqual([null, null, null, null])
  })

  it('is added to, changed and shortened', async () => {
    const fetch = (path: string, init?: RequestInit) => {
      const answered = acceptAnswer(init?.method ?? 'GET', new URL(path, 'http://mock.invalid'), typeof init?.body === 'string' ? init.body : '')
      if (answered === null) return Promise.resolve(new Response(null, { status: 404 }))
      return Promise.resolve(answered.status === 204 ? new Response(null, { status: 204 }) : Response.json(answered.body, { status: answered.status }))
    }
    const api = new PurposeApi(new Api({ fetch }))
    const codes = async () => {
      const listed = await api.purposes()
      return listed.kind === 'success' ? listed.value.items.map((each) => `${each.code} ${each.en}`) : listed.kind
    }
    await api.put({ code: 'a.b-c', zh: '甲', en: 'A', needs_note: false })
    expect(await codes()).toEqual(['a.b-c A', 'duty Routine duty'])
    await api.put({ code: 'a.b-c', zh: '甲', en: 'B', needs_note: false })
    expect(await codes()).toEqual(['a.b-c B', 'duty Routine duty'])
    await api.remove('a.b-c')
    expect(await codes()).toEqual(['duty Routine duty'])
    expect((await api.remove('a.b-c')).kind).toBe('error')
  })
})
