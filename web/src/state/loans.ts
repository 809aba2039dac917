/** The door to loans, and how many wait for one's answer. */
import { ref } from 'vue'
import type { Result } from '../api'
import { LoanApi, type LoanPage } from '../loans/api'
import { api } from './signin'

/** A question over the telephone waits for seconds, not minutes. */
export const LOOK_MS = 10_000

export const loanApi = new LoanApi(api)
export const waiting = ref(0)

export async function countWaiting(): Promise<Result<number>> {
  const result = await loanApi.waiting()
  if (result.kind === 'success') waiting.value = result.value
  return result
}

/** Those of others, and with them how many wait: they need no count of their own. */
export async function lookAtOthers(): Promise<Result<LoanPage>> {
  const result = await loanApi.ofOthers()
  if (result.kind !== 'success') return result
  if (result.value.next_cursor !== null) await countWaiting()
  else waiting.value = result.value.items.filter((each) => each.state === 'open').length
  return result
}
