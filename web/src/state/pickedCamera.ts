/** A camera that the address names by its id, as the field for cameras has it: by its code. */
import { ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'
import type { Channel } from '../api'
import { manageApi, sentenceOf } from './manage'

export interface PickedCamera {
  readonly typed: Ref<string>
  readonly camera: ShallowRef<Channel | null>
  /** Why the one that the address names can't be had. */
  readonly error: Ref<string | null>
}

export function usePickedCamera(cameraId: () => string): PickedCamera {
  const typed = ref('')
  const camera = shallowRef<Channel | null>(null)
  const error = ref<string | null>(null)
  watch(cameraId, async (id, _, onCleanup) => {
    error.value = null
    if (id === '' || id === camera.value?.id) return
    const abort = new AbortController()
    onCleanup(() => abort.abort())
    const result = await manageApi.camera(id, abort.signal)
    if (abort.signal.aborted) return
    if (result.kind === 'success') typed.value = result.value.code
    else if (result.kind === 'error') error.value = sentenceOf(result.error)
  }, { immediate: true })
  return { typed, camera, error }
}
