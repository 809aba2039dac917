import { describe, expect, it } from 'vitest'
import type { Result } from '../src/api'
import type { Page } from '../src/manage/api'
import type { Able, Explanation } from '../src/manage/people'
import { WhyDesk } from '../src/manage/why'

/** A desk whose questions are answered by name, when the test says so. */
function desk(): { desk: WhyDesk; asked: string[]; answer: (name: string, next?: string) => Promise<void>; refuse: (name: string) => Promise<void> } {
  const asked: string[] = []
  const waiting = new Map<string, (result: Result<never>) => void>()
  const question = <T>(name: string) => {
    asked.push(name)
    return new Promise<Result<T>>((resolve) => waiting.set(name, resolve))
  }
  const made = new WhyDesk({
    explain: (channelId, subject) => question<Explanation>(`${subject} ${channelId}`),
    whoCan: (channelId, cursor) => question<Page<Able>>(`${channelId} ${cursor ?? 'first'}`),
  })
  const settle = async (name: string, result: object) => {
    waiting.get(name)?.(result as Result<never>)
    await new Promise(setImmediate)
  }
  return {
    desk: made, asked,
    answer: (name, next) => settle(name, { kind: 'success', value: { items: [{ username: name }], total: 2, next_cursor: next ?? null, username: name } }),
    refuse: (name) => settle(name, { kind: 'error', error: { status: 404, code: 'not_found', detail: null, retryAfterMs: null } }),
  }
}

const names = ({ view }: WhyDesk) => view.able?.map((each) => each.username) ?? null

describe('why somebody may, and who', () => {
  it('is told of what was asked last, and not of what stood there before', async () => {
    const { desk: why, answer } = desk()
    void why.ask('ch_a', 'zhang', 'live')
    why.forgetAnswer()
    expect(why.view.asking).toBe(false)
    await answer('zhang ch_a')
    expect(why.view.told).toBeNull()
    void why.ask('ch_a', 'zhang', 'live')
    void why.ask('ch_a', 'wang', 'live')
    await answer('wang ch_a')
    await answer('zhang ch_a')
    expect([why.view.told?.username, why.view.asking]).toEqual(['wang ch_a', false])
  })

  it('is listed of the camera that stands there, page by page', async () => {
    const { desk: why, asked, answer } = desk()
    void why.list('ch_a')
    await answer('ch_a first', 'second')
    void why.more()
    await answer('ch_a second')
    expect([names(why), why.view.total, why.view.next]).toEqual([['ch_a first', 'ch_a second'], 2, null])
    void why.list('ch_a')
    await answer('ch_a first', 'second')
    why.forgetList()
    await why.more()
    expect([names(why), why.view.total, why.view.next, asked.length]).toEqual([null, 0, null, 3])
    void why.list('ch_b')
    expect(asked.at(-1)).toBe('ch_b first')
  })

  it('adds no page of one camera to those of another', async () => {
    const { desk: why, answer } = desk()
    void why.list('ch_a')
    await answer('ch_a first', 'second')
    void why.more()
    void why.list('ch_b')
    await answer('ch_b first')
    await answer('ch_a second', 'third')
    expect([names(why), why.view.next]).toEqual([['ch_b first'], null])
  })

  it('says what was refused, of what stands there', async () => {
    const { desk: why, refuse } = desk()
    void why.ask('ch_a', 'zhang', 'live')
    why.forgetAnswer()
    await refuse('zhang ch_a')
    expect(why.view.refused).toBeNull()
    void why.list('ch_a')
    await refuse('ch_a first')
    expect([why.view.refused?.code, why.view.able, why.view.listing]).toEqual(['not_found', null, false])
  })
})
