/** Finding the one camera that a text in a field means: by its code, or by a name that no other camera has. */
import { computed, onScopeDispose, shallowRef, watch, type ComputedRef, type Ref, type ShallowRef } from 'vue'
import type { Api, Channel } from '../api'
import type { CameraPick } from '../log/filter'
import { DEBOUNCE_MS } from './channels'

/** Cameras to choose from, of those that what was typed is a part of. */
const SHOWN = 20

export interface CameraField {
  readonly found: ShallowRef<readonly Channel[]>
  /** The one that is picked, where more is known of it than its id. */
  readonly chosen: ComputedRef<Channel | null>
  /** There is no camera that what was typed is a part of. */
  readonly missing: ComputedRef<boolean>
  /** What the person has typed. */
  type: (typed: string) => void
}

/**
 * `pick` may be another's that has a new value only later, as a component's model does. A pick that comes
 * with an id, as from a click in a row, is left as it is.
 */
export function useCameraField(pick: Ref<CameraPick>, camera: Ref<Channel | null>, api: Pick<Api, 'channels'>): CameraField {
  const found = shallowRef<readonly Channel[]>([])
  /** What `found` answers; until then nothing is said to be missing. */
  const foundFor = shallowRef<string | null>(null)
  /** All that there are: a name among some of them may be another's, too. */
  const foundAll = shallowRef(false)
  const q = computed(() => pick.value.typed.trim())
  const chosen = computed(() => (camera.value?.id === pick.value.id ? camera.value : (found.value.find((each) => each.id === pick.value.id) ?? null)))
  const missing = computed(() => q.value !== '' && pick.value.id === null && foundFor.value === q.value && found.value.length === 0)
  let abort = new AbortController()

  function meant(text: string): Channel | null {
    const coded = found.value.find((each) => each.code === text)
    if (coded !== undefined || foundFor.value !== text || !foundAll.value) return coded ?? null
    const [named, ...others] = found.value.filter((each) => each.name === text)
    return named !== undefined && others.length === 0 ? named : null
  }

  function type(typed: string): void {
    const one = meant(typed.trim())
    pick.value = { typed, id: one?.id ?? null }
    camera.value = one
  }

  async function look(text: string, signal: AbortSignal): Promise<void> {
    const result = await api.channels({ q: text, limit: SHOWN }, signal)
    if (signal.aborted || result.kind !== 'success') return
    found.value = result.value.items
    foundAll.value = result.value.next_cursor === null
    foundFor.value = text
    type(pick.value.typed)
  }

  watch([q, () => pick.value.id], ([text, id], [before], onCleanup) => {
    abort.abort()
    abort = new AbortController()
    const { signal } = abort
    if (camera.value !== null && camera.value.id !== id) camera.value = null
    if (text === '' || id !== null) return
    const timer = setTimeout(() => void look(text, signal), before === undefined ? 0 : DEBOUNCE_MS)
    onCleanup(() => clearTimeout(timer))
  }, { immediate: true })
  onScopeDispose(() => abort.abort())

  return { found, chosen, missing, type }
}
