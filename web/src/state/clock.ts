/** One ticking clock for all that shows an age or a countdown. */
import { onUnmounted, ref, type Ref } from 'vue'
import { monotonicNowMs } from '../player/state'

/** Ages are shown in tenths of a second. */
const TICK_MS = 100

/** Milliseconds since the epoch, refreshed every `tickMs` while the component lives. */
export function useClock(tickMs = TICK_MS): Ref<number> {
  const nowMs = ref(monotonicNowMs())
  const timer = setInterval(() => (nowMs.value = monotonicNowMs()), tickMs)
  onUnmounted(() => clearInterval(timer))
  return nowMs
}
