import { describe, expect, it } from 'vitest'
import type { ApiError, Result } from '../src/api'
import { BoundaryApi, BoundaryDesk, type BoundaryOrder, type FoundBoundaries } from '../src/manage/boundaries'

const broken: ApiError = { status: 0, code: 'network', detail: null, retryAfterMs: null }

describe('boundaries out of a file', () => {
  it('are sent as they are, looked at or applied, for one area or as each says', async () => {
    const asked: [string, RequestInit][] = []
    const api = new BoundaryApi({ request: (path: string, init?: RequestInit) => (asked.push([path, init ?? {}]), Promise.resolve({ kind: 'aborted' as const })) })
    const file = new Blob(['{}'])
    await api.send(file, { datum: 'gcj02', schematic: true, areaId: null }, false)
    await api.send(file, { datum: 'wgs84', schematic: false, areaId: 'ar_1' }, true)
    expect(asked.map(([path]) => path)).toEqual([
      '/api/v1/area-boundaries?datum=gcj02&schematic=true&apply=false',
      '/api/v1/area-boundaries?datum=wgs84&schematic=false&apply=true&area_id=ar_1',
    ])
    expect(asked.map(([, init]) => [init.method, init.body])).toEqual([['POST', file], ['POST', file]])
  })

  const looked: FoundBoundaries = { items: [], applied: false }
  const order = (areaId: string | null): BoundaryOrder => ({ file: new Blob(['{}']), datum: 'wgs84', schematic: false, areaId })

  /** A desk whose answers come when the test says so, and what it sent. */
  function slow() {
    const sent: { readonly areaId: string | null; readonly apply: boolean }[] = []
    const answers: ((result: Result<FoundBoundaries>) => void)[] = []
    const desk = new BoundaryDesk({
      send: (_, { areaId }, apply) => (sent.push({ areaId, apply }), new Promise((resolve) => answers.push(resolve))),
    })
    return { desk, sent, answers }
  }

  it('are applied as they were looked at last, whatever answer came last', async () => {
    const { desk, sent, answers } = slow()
    const first = desk.look(order('ar_1'))
    const second = desk.look(order('ar_2'))
    await desk.apply()
    answers[0]?.({ kind: 'success', value: looked })
    await first
    expect(desk.view.found).toBeNull()
    answers[1]?.({ kind: 'success', value: looked })
    await second
    const applied = desk.apply()
    await desk.look(order('ar_3'))
    answers[2]?.({ kind: 'success', value: { ...looked, applied: true } })
    await applied
    expect(sent).toEqual([{ areaId: 'ar_1', apply: false }, { areaId: 'ar_2', apply: false }, { areaId: 'ar_2', apply: true }])
    expect(desk.view).toMatchObject({ found: { applied: true }, applying: false, error: null })
    await desk.look(null)
    expect(desk.view.found).toBeNull()
  })

  it('can be applied again where that failed', async () => {
    const { desk, sent, answers } = slow()
    const look = desk.look(order(null))
    answers[0]?.({ kind: 'success', value: looked })
    await look
    const failed = desk.apply()
    answers[1]?.({ kind: 'error', error: broken })
    await failed
    expect(desk.view).toMatchObject({ found: looked, error: broken, applying: false })
    void desk.apply()
    expect([sent.length, desk.view.error]).toEqual([3, null])
  })
})
