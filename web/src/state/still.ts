/** Stills that ask what for: fetched, since an address would show the words to the browser's history. */
import { purposeHeaders, type ApiError, type Stated } from '../api'
import { api } from './signin'

/** Long enough for the tab to have it. */
const KEPT_MS = 60_000

/** Opens the picture in a tab of its own; else says why not. */
export async function openStill(path: string, stated: Stated): Promise<ApiError | null> {
  // Before anything is awaited: later it would be taken for a pop-up.
  const tab = window.open('', '_blank')
  // Not fetched where nobody would see it: the log would say that somebody has.
  if (tab === null) return { status: 0, code: 'popup_blocked', detail: null, retryAfterMs: null }
  const result = await api.file(path, purposeHeaders(stated))
  if (result.kind === 'success') {
    const url = URL.createObjectURL(result.value)
    tab.location.replace(url)
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS)
    return null
  }
  tab.close()
  return result.kind === 'error' ? result.error : null
}
