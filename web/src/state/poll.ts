/**
 * What is asked for again and again while a view of it is shown. Its error is its own: it goes with the
 * next answer, and what somebody's own act was refused for stays.
 */
import { onScopeDispose, ref, shallowRef, type Ref, type ShallowRef } from 'vue'
import type { ApiError, Result } from '../api'

export interface Poll<T> {
  /** The newest answer that was none of an error; null before the first. */
  readonly value: Readonly<ShallowRef<T | null>>
  readonly error: Readonly<Ref<ApiError | null>>
  /** Asks now, too, as after an act. */
  readonly again: () => Promise<void>
}

/** Asks at once and every `everyMs`, until the component that calls it is gone. */
export function usePoll<T>(look: () => Promise<Result<T>>, everyMs: number): Poll<T> {
  const value = shallowRef<T | null>(null)
  const error = ref<ApiError | null>(null)
  let asked = 0
  let answered = 0

  async function again(): Promise<void> {
    const mine = (asked += 1)
    const result = await look()
    // An answer that came behind a newer question's would bring back what was before.
    if (mine < answered || result.kind === 'aborted') return
    answered = mine
    error.value = result.kind === 'error' ? result.error : null
    if (result.kind === 'success') value.value = result.value
  }

  void again()
  const timer = setInterval(() => void again(), everyMs)
  onScopeDispose(() => {
    answered = Infinity
    clearInterval(timer)
  })
  return { value, error, again }
}
