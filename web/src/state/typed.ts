/** Texts as they are typed, which count only when their input is left or sent. */
import { ref, watch, type Ref } from 'vue'

/** Begins as the text that counts, and again whenever that is another: what is typed meanwhile stays when something else changes. */
export function useTyped(counts: () => string): Ref<string> {
  const typed = ref(counts())
  watch(counts, (text) => (typed.value = text))
  return typed
}
