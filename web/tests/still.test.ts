/** A still that asks what for: into a tab of its own, or a word why not. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { api } from '../src/state/signin'
import { openStill } from '../src/state/still'
import { reasonText } from '../src/state/words'

const DUTY = { purpose: 'duty', note: '' }

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** The browser's tab, or none where it blocks it; and how often the still was fetched. */
function browser(tab: object | null) {
  vi.stubGlobal('window', { open: () => tab })
  return vi.spyOn(api, 'file').mockResolvedValue({ kind: 'success', value: new Blob(['jpeg']) })
}

describe('a still', () => {
  it('is shown in the tab that was opened for it', async () => {
    const replace = vi.fn()
    const fetched = browser({ location: { replace }, close: vi.fn() })
    expect(await openStill('/still', DUTY)).toBeNull()
    expect(fetched).toHaveBeenCalledWith('/still', { 'Streamhub-Purpose': 'duty' })
    expect(replace).toHaveBeenCalledWith(expect.stringMatching(/^blob:/))
  })

  it('is not fetched where the browser blocks the tab, and that is said', async () => {
    const fetched = browser(null)
    expect((await openStill('/still', DUTY))?.code).toBe('popup_blocked')
    expect(fetched).not.toHaveBeenCalled()
    expect(reasonText('popup_blocked', false)).not.toContain('popup_blocked')
  })

  it('closes its tab where the service refuses', async () => {
    const close = vi.fn()
    const refused = { status: 403, code: 'forbidden', detail: null, retryAfterMs: null }
    browser({ location: {}, close }).mockResolvedValue({ kind: 'error', error: refused })
    expect(await openStill('/still', DUTY)).toEqual(refused)
    expect(close).toHaveBeenCalledOnce()
  })
})
