/** The log's form: what is typed stays, what is none is no question, and no rows of another question stand below. */
import { describe, expect, it } from 'vitest'
import { effectScope, nextTick, ref } from 'vue'
import { Api } from '../src/api'
import { LogApi, type ExportRequest } from '../src/log/api'
import { LogBook } from '../src/log/book'
import { ANY, asksForCamera, formOf, queryOf, TIME_INPUT } from '../src/log/filter'
import { useTyped } from '../src/state/typed'

const everybody = queryOf(ANY, false, true, () => null)

describe('the form', () => {
  it('keeps what is typed when something else changes, and takes what a click puts there', async () => {
    const form = ref(ANY)
    const scope = effectScope()
    const person = scope.run(() => useTyped(() => form.value.person))
    if (person === undefined) throw new Error('no text')
    person.value = 'wan'
    form.value = { ...form.value, outcome: 'ok' }
    await nextTick()
    expect(person.value).toBe('wan')
    form.value = { ...form.value, person: 'su_1' }
    await nextTick()
    expect(person.value).toBe('su_1')
    scope.stop()
  })

  it('is no question while a time is none, as one of a year of six digits, but for one’s own rows', () => {
    for (const time of [{ since: '275760-11-24T08:00' }, { until: '12026-11-24T08:00' }]) {
      expect(queryOf({ ...ANY, ...time }, false, true, () => null)).toBeNull()
      expect(queryOf({ ...ANY, ...time }, true, true, () => null)).not.toBeNull()
    }
    expect(Number.isNaN(Date.parse(TIME_INPUT.max))).toBe(false)
    expect(TIME_INPUT.max).toMatch(/^\d{4}-/)
  })

  it('takes the times of a request for an export, which have seconds', () => {
    const since = new Date('2026-11-24T08:00:07').toISOString()
    const form = formOf({ asked: { since }, channel_name: null, area_name: null } as unknown as ExportRequest, () => '')
    expect(form?.since).toBe('2026-11-24T08:00:07')
    expect(7 % TIME_INPUT.step).toBe(0)
  })

  it('has a camera to ask for while one is typed, though no area came', () => {
    const of = (camera: typeof ANY.camera) => asksForCamera({ ...ANY, camera }, false)
    expect([of(ANY.camera), of({ typed: '路', id: null }), of({ typed: '', id: 'ch_1' }), asksForCamera(ANY, true)]).toEqual([false, true, true, true])
  })
})

describe('the book', () => {
  /** A book whose service answers these in turn; null: an answer without sense. */
  function bookOf(...pages: (object | null)[]): LogBook {
    return new LogBook(new LogApi(new Api({
      fetch: () => {
        const page = pages.shift() ?? null
        return Promise.resolve(page === null ? new Response('', { status: 502 }) : Response.json(page))
      },
    })))
  }

  it('goes on from where it was when a page did not come', async () => {
    const book = bookOf({ items: [{ seq: 9 }], next_cursor: 'c1' }, null, { items: [{ seq: 8 }], next_cursor: null })
    await book.ask(everybody, true)
    await book.more()
    expect([book.view.error?.code, book.view.cursor]).toEqual(['http_502', 'c1'])
    await book.more()
    expect(book.view.rows?.map((row) => row.seq)).toEqual([9, 8])
    expect([book.view.error, book.view.cursor]).toEqual([null, null])
  })

  it('shows no rows where there is no question', async () => {
    const book = bookOf({ items: [{ seq: 9 }], next_cursor: 'c1' }, { items: [{ seq: 7 }], next_cursor: null })
    await book.ask(everybody, true)
    const late = book.ask(everybody, true)
    await book.ask(null, true)
    await late
    expect(book.view).toMatchObject({ rows: null, looks: null, cursor: null, loading: false, error: null })
  })
})
