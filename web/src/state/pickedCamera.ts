/** A camera that the address names by its id, as the field for cameras has it: by its code. */
import { ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'
import type { Channel } from '../api'
import { ANY_CAMERA, type CameraPick } from '../log/filter'
import { manageApi, sentenceOf } from './manage'

export interface PickedCamera {
  readonly pick: Ref<CameraPick>
  readonly camera: ShallowRef<Channel | null>
  /** Why the one that the address names can't be had. */
  readonly error: Ref<string | null>
}

export function usePickedCamera(cameraId: () => string): PickedCamera {
  const pick = ref<CameraPick>(ANY_CAMERA)
  const camera = shallowRef<Channel | null>(null)
  const error = ref<string | null>(null)
  watch(cameraId, async (id, _, onCleanup) => {
    error.value = null
    if (id === '' || id === camera.value?.id) return
    const abort = new AbortController()
    onCleanup(() => abort.abort())
    const result = await manageApi.camera(id, abort.signal)
    if (abort.signal.aborted) return
    if (result.kind === 'success') pick.value = { typed: result.value.code, id: null }
    else if (result.kind === 'error') error.value = sentenceOf(result.error)
  }, { immediate: true })
  return { pick, camera, error }
}
