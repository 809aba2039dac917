import { afterEach, describe, expect, it } from 'vitest'
import { Api } from '../src/api'
import { lang } from '../src/i18n'
import { LoanApi, spansBelow, typedCode, type Loan } from '../src/loans/api'
import { actionsOf, nameOf, spanOf } from '../src/loans/words'
import { fragmentOf, readRoute } from '../src/state/route'
import { problem } from './fakes'

afterEach(() => void (lang.value = 'zh'))

/** A service that keeps what it is asked, and answers the same each time. */
function served(answer: () => Response): { api: LoanApi; calls: string[] } {
  const calls: string[] = []
  const fetch = (url: string, init: RequestInit = {}): Promise<Response> => {
    calls.push(`${init.method ?? 'GET'} ${url}${typeof init.body === 'string' ? ` ${init.body}` : ''}`)
    return Promise.resolve(answer())
  }
  return { api: new LoanApi(new Api({ fetch })), calls }
}

describe('a loan', () => {
  it.each([
    ['11011200111310000004', '11011200111310000004'],
    [' 11011200-111-3-10 000004 ', '11011200111310000004'],
    ['110112-00-111-3-1000004', null],
    ['1101120011131000000', null],
    ['路口4', null],
    ['', null],
  ])('is asked for by the code within %j', (typed, code) => {
    expect(typedCode(typed)).toBe(code)
  })

  it('is lent for as long as asked, or shorter', () => {
    expect(spansBelow(60)).toEqual([15, 30])
    expect(spansBelow(45)).toEqual([15, 30])
    expect(spansBelow(5)).toEqual([])
  })

  it('is asked for, answered and ended at the service', async () => {
    const { api, calls } = served(() => new Response('{}', { status: 200 }))
    await api.ask({ channel: '11011200111310000004', actions: ['live'], reason: 'x', minutes: 60 })
    await api.allow('lo_1', null)
    await api.allow('lo/1', 30)
    await api.refuse('lo_1', 'no')
    await api.end('lo_1')
    expect(calls).toEqual([
      'POST /api/v1/loans {"channel":"11011200111310000004","actions":["live"],"reason":"x","minutes":60}',
      'POST /api/v1/loans/lo_1/allow {"minutes":null}',
      'POST /api/v1/loans/lo%2F1/allow {"minutes":30}',
      'POST /api/v1/loans/lo_1/refuse {"reason":"no"}',
      'POST /api/v1/loans/lo_1/end {}',
    ])
  })

  it('is listed with as many as the service keeps, and those of others as far as one question goes', async () => {
    const { api, calls } = served(() => new Response('{"items":[],"next_cursor":null,"total":0}'))
    await api.mine()
    await api.ofOthers()
    expect(calls).toEqual(['GET /api/v1/loans/mine?limit=200', 'GET /api/v1/loans?limit=500'])
  })

  it('counts those that wait, and knows nothing where the service says nothing', async () => {
    expect(await served(() => new Response('{"items":[],"next_cursor":null,"total":3}')).api.waiting()).toEqual({ kind: 'success', value: 3 })
    expect(await served(() => problem(403, 'forbidden')).api.waiting()).toMatchObject({ kind: 'error', error: { code: 'forbidden' } })
  })

  it('has words', () => {
    lang.value = 'en'
    expect(spanOf(90)).toContain('90')
    expect(spanOf(120)).toContain('2')
    expect(actionsOf(['list', 'live', 'snapshot'])).toBe('live view / stills')
    const loan = { channel_name: null, asked: '11011200111310000004' } as Loan
    expect(nameOf(loan)).toBe('11011200111310000004')
    expect(nameOf({ ...loan, channel_name: 'Gate' })).toBe('Gate')
  })

  it('has a place in the address', () => {
    expect(fragmentOf({ view: 'loans' })).toBe('#loans')
    expect(readRoute('#loans')).toEqual({ view: 'loans' })
  })
})
