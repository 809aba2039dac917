import { describe, expect, it } from 'vitest'
import {
  defaultPolicy, FIRST_RETRY_MS, isMeantEnd, isPermanent, MAX_RETRY_AFTER_MS, MAX_RETRY_MS,
} from '../src/player/reconnect'

const delay = (attempt: number, extra: { reason?: string; retryAfterMs?: number; random?: number } = {}) =>
  defaultPolicy({ attempt, reason: 'network', retryAfterMs: null, random: 0.5, ...extra })

describe('reconnect policy', () => {
  it('doubles from the first delay to the ceiling', () => {
    expect([1, 2, 3, 4].map((n) => delay(n))).toEqual([500, 1000, 2000, 4000])
    expect(delay(50)).toBe(MAX_RETRY_MS)
    expect(delay(0)).toBe(FIRST_RETRY_MS)
  })

  it('spreads many tiles over a fifth either way', () => {
    expect(delay(1, { random: 0 })).toBe(400)
    expect(delay(1, { random: 0.999 })).toBeLessThanOrEqual(600)
  })

  it('waits at least as long as the service asks, within reason', () => {
    expect(delay(1, { retryAfterMs: 4000 })).toBe(4000)
    expect(delay(5, { retryAfterMs: 1 })).toBe(8000)
    expect(delay(1, { retryAfterMs: 86_400_000 })).toBe(MAX_RETRY_AFTER_MS)
  })

  it('never asks again after a permanent answer or a meant end', () => {
    for (const reason of ['not_found', 'no_common_codec', 'unauthenticated', 'revoked', 'channel_not_filed']) {
      expect(delay(1, { reason })).toBeNull()
    }
  })

  it('knows which answers can change by themselves', () => {
    expect([408, 425, 429, 500, 502, 503].filter((status) => isPermanent('x', status))).toEqual([])
    expect([400, 403, 404, 405, 409, 415, 422].every((status) => isPermanent('x', status))).toBe(true)
    expect(isMeantEnd('shutdown')).toBe(false)
  })
})
