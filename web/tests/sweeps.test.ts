/** A sweep's devices, page by page; and who has left a view is not pulled back by what it had asked for. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Result } from '../src/api'
import { SweepDesk, type FoundPage, type Sweep } from '../src/manage/sweeps'
import { go, onward, route, type Route } from '../src/state/route'
import { last } from './fakes'

/** A desk with a sweep that has ended; its pages come when the test says so. */
function slow() {
  const asked: string[] = []
  const answers: (() => void)[] = []
  const desk = new SweepDesk({
    sweep: (id) => Promise.resolve({ kind: 'success', value: { id, state: 'done' } as Sweep }),
    found: (id, after) => (asked.push(`${id} ${after}`), new Promise<Result<FoundPage>>((resolve) => {
      const items = [{ host: `${id}-${after}`, port: 80 }] as unknown as FoundPage['items']
      answers.push(() => resolve({ kind: 'success', value: { items, next_after: after === '' ? 'n1' : null } }))
    })),
    stop: () => Promise.resolve({ kind: 'aborted' }),
    goOn: () => Promise.resolve({ kind: 'aborted' }),
  })
  /** What waits for no answer runs to its end. */
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const answer = async (at: number) => {
    await settled()
    last(answers.slice(0, at + 1))()
    await settled()
  }
  return { desk, asked, answer, hosts: () => desk.found.items.map((each) => each.host) }
}

describe('the devices of a sweep', () => {
  it('are asked for once, however often more is clicked', async () => {
    const { desk, asked, answer, hosts } = slow()
    void desk.open('a')
    await answer(0)
    void desk.more()
    void desk.more()
    expect([asked, desk.found.loading]).toEqual([['a ', 'a n1'], true])
    await answer(1)
    expect([hosts(), desk.found.loading]).toEqual([['a-', 'a-n1'], false])
  })

  it('are not those of a sweep that was left', async () => {
    const { desk, answer, hosts } = slow()
    void desk.open('a')
    await answer(0)
    void desk.more()
    void desk.open('b')
    await answer(1)
    expect(hosts()).toEqual([])
    await answer(2)
    expect(hosts()).toEqual(['b-'])
  })
})

describe('what takes a while', () => {
  const job: Route = { view: 'import', id: 'im_1', verdict: null, after: 0 }
  const next: Route = { ...job, id: 'im_2' }

  beforeEach(() => {
    vi.stubGlobal('location', { pathname: '/', search: '' })
    vi.stubGlobal('history', { pushState: () => undefined, replaceState: () => undefined })
  })
  afterEach(() => {
    vi.unstubAllGlobals()
    route.value = { view: 'wall' }
  })

  it.each([
    ['its view, however that is narrowed', { ...job, verdict: 'refused' }, next],
    ['another view', { view: 'log' }, { view: 'log' }],
    ['the same view of another import', { ...job, id: 'im_3' }, { ...job, id: 'im_3' }],
  ] satisfies [string, Route, Route][])('begun in an import ends well for who is by then in %s', (_, meanwhile, end) => {
    go(job)
    const goOn = onward()
    go(meanwhile)
    goOn(next)
    expect(route.value).toEqual(end)
  })
})
