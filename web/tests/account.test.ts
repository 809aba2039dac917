import { describe, expect, it } from 'vitest'
import { agentName, grouped, KEY_ACTIONS, makeKey, revokeKey } from '../src/account/api'
import { errorText } from '../src/account/words'
import { Api } from '../src/api'
import { hasKey, t } from '../src/i18n'

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

describe('keys for programs', () => {
  it('are asked for with what they may, and revoked by their id', async () => {
    const sent: [string, string | undefined, unknown][] = []
    const api = new Api({
      fetch: (url, init) => {
        sent.push([url, init?.method, typeof init?.body === 'string' ? JSON.parse(init.body) : null])
        return Promise.resolve(new Response('{"id": "ak_1", "key": "shk_x"}', { status: 201 }))
      },
    })
    const made = await makeKey(api, { name: 'wall', actions: ['list'], expires_in_days: 30 })
    expect(made.kind === 'success' && made.value.key).toBe('shk_x')
    await revokeKey(api, 'ak/1')
    expect(sent).toEqual([
      ['/api/v1/keys', 'POST', { name: 'wall', actions: ['list'], expires_in_days: 30 }],
      ['/api/v1/keys/ak%2F1', 'DELETE', null],
    ])
  })

  it('have a word for each thing that they may', () => {
    expect(KEY_ACTIONS.filter((each) => !hasKey(`account.action.${each}`))).toEqual([])
  })
})
