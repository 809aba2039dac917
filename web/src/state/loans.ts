/** The door to loans, and how many wait for one's answer. */
import { ref } from 'vue'
import { LoanApi } from '../loans/api'
import { api } from './signin'

/** A question over the telephone waits for seconds, not minutes. */
export const LOOK_MS = 10_000

export const loanApi = new LoanApi(api)
export const waiting = ref(0)

export async function countWaiting(): Promise<void> {
  waiting.value = (await loanApi.waiting()) ?? waiting.value
}
