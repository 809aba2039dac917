import { describe, expect, it } from 'vitest'
import { agentName, grouped } from '../src/account/api'
import { errorText } from '../src/account/words'
import { Api } from '../src/api'
import { t } from '../src/i18n'

describe('where one is signed in', () => {
  it.each([
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36', 'Chrome 120, Linux'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0', 'Edge 120, Windows'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0', 'Firefox 121, Windows'],
    ['curl/8.5.0', 'curl/8.5.0'],
    [null, null],
  ])('names %s', (agent, name) => {
    expect(agentName(agent)).toBe(name)
  })
})

describe('a second factor', () => {
  it('shows its secret in groups', () => {
    expect(grouped('ABCDEFGHIJ')).toBe('ABCD EFGH IJ')
  })

  it('sends the code with the password', async () => {
    const bodies: unknown[] = []
    const api = new Api({
      fetch: (_, init) => {
        if (typeof init?.body === 'string') bodies.push(JSON.parse(init.body))
        return Promise.resolve(new Response('{}', { status: 200 }))
      },
    })
    await api.signIn('ada', 'secret')
    await api.signIn('ada', 'secret', '123456')
    expect(bodies).toEqual([
      { username: 'ada', password: 'secret', code: null },
      { username: 'ada', password: 'secret', code: '123456' },
    ])
  })

  it('has words for what goes wrong, and a code for the rest', () => {
    const error = { status: 403, code: 'wrong_code', detail: null, retryAfterMs: null }
    expect(errorText(error)).toBe(t('account.error.wrong_code'))
    expect(errorText({ ...error, code: 'odd' })).toContain('odd')
    expect(errorText({ ...error, status: 429, retryAfterMs: 7000 })).toContain('7')
  })
})
