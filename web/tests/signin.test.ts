/** Who leaves is signed out when the service says so, and not before. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Me } from '../src/api'
import { signIn, signOut } from '../src/state/signin'
import { Bench, problem } from './fakes'

afterEach(() => {
  vi.unstubAllGlobals()
  signIn.value = { kind: 'checking' }
})

async function leave(answer: () => Promise<Response>): Promise<unknown> {
  signIn.value = { kind: 'signed-in', me: { id: 'su_1' } as Me }
  vi.stubGlobal('fetch', answer)
  return signOut()
}

describe('signing out', () => {
  it.each([
    ['broken network', () => Promise.reject(new TypeError('failed')), 'network'],
    ['proxy without a service', () => Promise.resolve(new Response('', { status: 502 })), 'http_502'],
    ['refusal', () => Promise.resolve(problem(503, 'over_capacity')), 'over_capacity'],
  ] as const)('over a %s leaves one signed in, and is told', async (_, answer, code) => {
    expect(await leave(answer)).toMatchObject({ code })
    expect(signIn.value.kind).toBe('signed-in')
  })

  it.each([
    ['is done', () => Promise.resolve(new Response(null, { status: 204 }))],
    ['finds the sign-in ended', () => Promise.resolve(problem(401, 'unauthenticated'))],
  ] as const)('that %s leads to the sign-in form', async (_, answer) => {
    expect(await leave(answer)).toBeNull()
    expect(signIn.value).toEqual({ kind: 'signed-out', expiredUsername: null })
  })
})

describe('a view', () => {
  it.each([
    ['sign_in_ended', 1], ['subject_disabled', 1], ['revoked', 0], ['closed_by_operator', 0], ['shutdown', 0],
  ] as const)('that ends by %s tells %i times that one may be signed out', async (reason, times) => {
    const bench = new Bench()
    bench.player.open()
    await vi.waitUntil(() => bench.feeds.length > 0)
    bench.feed.emit('state', { state: 'ended', reason, detail: null })
    expect(bench.signInsEnded).toBe(times)
    bench.player.close()
  })
})
