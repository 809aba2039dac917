/** Looked at again and again: the newest answer counts, and its error goes with the next one. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { effectScope } from 'vue'
import type { Result } from '../src/api'
import { usePoll } from '../src/state/poll'

const EVERY_MS = 10_000
const FAILED: Result<never> = { kind: 'error', error: { status: 0, code: 'network', detail: null, retryAfterMs: null } }

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A look whose answers come when the test says so. */
function polled() {
  const asked: ((result: Result<string>) => void)[] = []
  const scope = effectScope()
  const poll = scope.run(() => usePoll(() => new Promise<Result<string>>((resolve) => asked.push(resolve)), EVERY_MS))
  if (poll === undefined) throw new Error('no poll')
  const answer = async (at: number, result: Result<string>) => {
    asked[at]?.(result)
    await vi.advanceTimersByTimeAsync(0)
  }
  return { asked, poll, scope, answer }
}

function good(value: string): Result<string> {
  return { kind: 'success', value }
}

describe('a poll', () => {
  it('asks at once, then every so often, and no more when its view is gone', async () => {
    const { asked, poll, scope, answer } = polled()
    expect(asked).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(2 * EVERY_MS)
    expect(asked).toHaveLength(3)
    scope.stop()
    await answer(2, good('late'))
    await vi.advanceTimersByTimeAsync(2 * EVERY_MS)
    expect(asked).toHaveLength(3)
    expect(poll.value.value).toBeNull()
  })

  it('forgets its error with the next answer, and keeps what it had meanwhile', async () => {
    const { poll, answer } = polled()
    await answer(0, good('first'))
    await vi.advanceTimersByTimeAsync(EVERY_MS)
    await answer(1, FAILED)
    expect([poll.value.value, poll.error.value?.code]).toEqual(['first', 'network'])
    await vi.advanceTimersByTimeAsync(EVERY_MS)
    await answer(2, good('second'))
    expect([poll.value.value, poll.error.value]).toEqual(['second', null])
  })

  it('takes no answer that a newer question’s has overtaken, and each of a slow service', async () => {
    const { poll, answer } = polled()
    void poll.again()
    void poll.again()
    await answer(1, good('after the act'))
    await answer(0, good('before it'))
    expect(poll.value.value).toBe('after the act')
    void poll.again()
    await answer(2, good('slow'))
    expect(poll.value.value).toBe('slow')
  })
})
